#include "server/engine/own_write.h"

#include <utility>

#include "server/engine/loader.h"

namespace larder {

OwnWrite::OwnWrite(Keyspace& space, std::string key)
    : space_(&space), key_(std::move(key)), hash_(NearCache::Hash(key_)), mark_(space.marks().Mark(hash_)) {
  space_->near().Erase(key_, hash_);
}

void OwnWrite::End() {
  space_->marks().Mark(hash_);
  space_->near().Erase(key_, hash_);
  space_->changes().OnWritten(key_);
  space_->loader().Wake(key_);
}

bool OwnWrite::EndAdmitting(EntryRef entry) {
  const uint64_t mark = space_->marks().Mark(hash_);
  const bool undisturbed = mark == mark_ + 1;
  if (!undisturbed ||
      !space_->near().Admit(key_, hash_, std::move(entry), [&] { return space_->marks().Current(hash_) == mark; })) {
    space_->near().Erase(key_, hash_);
  }
  space_->changes().OnWritten(key_);
  space_->loader().Wake(key_);
  return undisturbed;
}

}  // namespace larder
