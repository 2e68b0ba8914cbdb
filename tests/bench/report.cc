#include "tests/bench/report.h"

#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"

namespace larder::bench {
namespace {

// As the kernel names it; empty where it does not.
std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(": ");
    return colon == std::string::npos ? "" : line.substr(colon + 2);
  }
  return "";
}

}  // namespace

Report::Report() {
  json_ = {{"ratios", nlohmann::json::object()},
           {"absolute", nlohmann::json::object()},
           {"machine", nlohmann::json::object()}};
  Machine("cpus", std::thread::hardware_concurrency());
  Machine("cpu_model", CpuModel());
  struct utsname names = {};
  if (::uname(&names) == 0) Machine("kernel", std::string(names.sysname) + " " + names.release);
  struct sysinfo info = {};
  if (::sysinfo(&info) == 0) Machine("memory_bytes", static_cast<uint64_t>(info.totalram) * info.mem_unit);
  Machine("compiler", __VERSION__);
#ifdef NDEBUG
  Machine("build", "release");
#else
  Machine("build", "with assertions");
#endif
}

void Report::Ratio(const std::string& name, double value) {
  json_["ratios"][name] = value;
  std::printf("%-44s %12.3f\n", name.c_str(), value);
  std::fflush(stdout);
}

void Report::Absolute(const std::string& name, double value) {
  json_["absolute"][name] = value;
  std::printf("  %-50s %14.2f\n", name.c_str(), value);
  std::fflush(stdout);
}

void Report::Machine(const std::string& name, nlohmann::json fact) { json_["machine"][name] = std::move(fact); }

void Report::Append(const std::string& name, const std::string& text) { json_["machine"][name].push_back(text); }

void Report::Void(const std::string& reason) {
  json_["machine"]["void"] = true;
  Append("void_reasons", reason);
  std::fprintf(stderr, "\n*** THIS RUN IS VOID: %s ***\n\n", reason.c_str());
}

bool Report::is_void() const { return json_["machine"].contains("void"); }

absl::Status Report::WriteJson(const std::string& path) const {
  std::ofstream file(path);
  file << json_.dump(2) << "\n";
  file.close();
  return file ? absl::OkStatus() : absl::UnavailableError(absl::StrCat("cannot write ", path));
}

}  // namespace larder::bench
