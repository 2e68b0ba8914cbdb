#include "server/rpc/answer_writer.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

namespace larder {
namespace {

void ReleaseEntry(void* entry) { EntryRef::Adopt(static_cast<Entry*>(entry)); }

}  // namespace

AnswerWriter::AnswerWriter(AnswerWriter&& other) noexcept
    : slices_(std::move(other.slices_)),
      chunk_(std::move(other.chunk_)),
      used_(std::exchange(other.used_, 0)),
      next_chunk_bytes_(std::exchange(other.next_chunk_bytes_, kLeastChunkBytes)),
      size_(std::exchange(other.size_, 0)) {
  other.slices_.clear();
}

AnswerWriter& AnswerWriter::operator=(AnswerWriter&& other) noexcept {
  if (this == &other) return *this;
  slices_ = std::move(other.slices_);
  other.slices_.clear();
  chunk_ = std::move(other.chunk_);
  used_ = std::exchange(other.used_, 0);
  next_chunk_bytes_ = std::exchange(other.next_chunk_bytes_, kLeastChunkBytes);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

uint8_t* AnswerWriter::Extend(size_t count) {
  if (chunk_.size() - used_ < count) {
    CloseChunk();
    NewChunk(std::max(count, next_chunk_bytes_));
    next_chunk_bytes_ = std::min(2 * next_chunk_bytes_, kMostChunkBytes);
  }
  // A slice that was allocated for us alone may be written until it is handed on.
  uint8_t* at = const_cast<uint8_t*>(chunk_.begin()) + used_;
  used_ += count;
  size_ += count;
  return at;
}

void AnswerWriter::Append(std::string_view bytes) {
  if (!bytes.empty()) std::memcpy(Extend(bytes.size()), bytes.data(), bytes.size());
}

void AnswerWriter::AppendValue(EntryRef entry) {
  const std::string_view value = entry->value();
  if (value.size() < kCopyBelowBytes) return Append(value);
  CloseChunk();
  slices_.emplace_back(const_cast<char*>(value.data()), value.size(), &ReleaseEntry, entry.Leak());
  size_ += value.size();
}

void AnswerWriter::Append(AnswerWriter other) {
  if (other.empty()) return;
  CloseChunk();
  other.CloseChunk();
  size_ += other.size_;
  std::move(other.slices_.begin(), other.slices_.end(), std::back_inserter(slices_));
}

grpc::ByteBuffer AnswerWriter::Build() {
  CloseChunk();
  grpc::ByteBuffer buffer(slices_.data(), slices_.size());
  slices_.clear();
  size_ = 0;
  return buffer;
}

void AnswerWriter::NewChunk(size_t bytes) {
  chunk_ = grpc::Slice(bytes);
  used_ = 0;
}

// What is left of the chunk goes on being filled: the slice that is closed is a part of it.
void AnswerWriter::CloseChunk() {
  if (used_ == 0) return;
  if (used_ == chunk_.size()) {
    slices_.push_back(std::move(chunk_));
  } else {
    slices_.push_back(chunk_.sub(0, used_));
    chunk_ = chunk_.sub(used_, chunk_.size());
  }
  used_ = 0;
}

}  // namespace larder
