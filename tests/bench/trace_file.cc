#include "tests/bench/trace_file.h"

#include <zstd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>

#include "tests/support/workloads.h"

namespace larder {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.good() && !file.eof()) throw std::runtime_error("cannot read " + path);
  return bytes;
}

std::string Decompress(const std::string& path, const std::string& compressed) {
  const std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream(ZSTD_createDStream(), &ZSTD_freeDStream);
  std::string out;
  std::string chunk(ZSTD_DStreamOutSize(), '\0');
  ZSTD_inBuffer in = {compressed.data(), compressed.size(), 0};
  size_t rest = 0;  // 0 at the end of a frame
  while (in.pos < in.size) {
    ZSTD_outBuffer piece = {chunk.data(), chunk.size(), 0};
    rest = ZSTD_decompressStream(stream.get(), &piece, &in);
    if (ZSTD_isError(rest)) throw std::runtime_error(path + ": " + ZSTD_getErrorName(rest));
    out.append(chunk, 0, piece.pos);
  }
  for (bool more = rest != 0; more;) {
    ZSTD_outBuffer piece = {chunk.data(), chunk.size(), 0};
    rest = ZSTD_decompressStream(stream.get(), &piece, &in);
    if (ZSTD_isError(rest)) throw std::runtime_error(path + ": " + ZSTD_getErrorName(rest));
    out.append(chunk, 0, piece.pos);
    more = rest != 0 && piece.pos != 0;
  }
  if (rest != 0) throw std::runtime_error(path + ": truncated");
  return out;
}

std::vector<uint32_t> MakeUp(const std::string& name) {
  size_t requests = 0;
  size_t objects = 0;
  double exponent = 0;
  char rest = '\0';
  if (std::sscanf(name.c_str(), "zipf:%zu:%zu:%lf%c", &requests, &objects, &exponent, &rest) != 3 || objects == 0) {
    throw std::runtime_error(name + ": expected zipf:REQUESTS:OBJECTS:EXPONENT");
  }
  return ZipfTrace(requests, objects, exponent, 1);
}

}  // namespace

std::vector<uint32_t> ReadTrace(const std::string& name) {
  if (name.starts_with("zipf:")) return MakeUp(name);
  std::string bytes = ReadFile(name);
  if (name.ends_with(".zst")) bytes = Decompress(name, bytes);
  if (bytes.empty() || bytes.size() % sizeof(uint32_t) != 0) {
    throw std::runtime_error(name + ": not an array of 32-bit numbers");
  }
  std::vector<uint32_t> trace(bytes.size() / sizeof(uint32_t));
  const auto* byte = reinterpret_cast<const unsigned char*>(bytes.data());
  for (uint32_t& id : trace) {
    id = byte[0] | uint32_t{byte[1]} << 8 | uint32_t{byte[2]} << 16 | uint32_t{byte[3]} << 24;
    byte += sizeof(uint32_t);
  }
  return trace;
}

}  // namespace larder
