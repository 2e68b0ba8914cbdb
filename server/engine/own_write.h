// A write by this replica to one key.
#ifndef LARDER_SERVER_ENGINE_OWN_WRITE_H_
#define LARDER_SERVER_ENGINE_OWN_WRITE_H_

#include <cstdint>
#include <string>

#include "core/entry.h"
#include "server/engine/keyspace.h"

namespace larder {

// COHERENCE N3: nothing that was read while it is under way enters the near tier or is shared by a flight, and what is
// in the near tier leaves it both when the write starts and before it is acknowledged. Ended once, by one of the two.
class OwnWrite {
 public:
  OwnWrite(Keyspace& space, std::string key);

  const std::string& key() const { return key_; }

  // Also wakes who waits for the key.
  void End();

  // Ends the write and puts what it wrote into the near tier, unless another write of the key began or ended meanwhile:
  // which of the two the store executed last is then not known here, and this returns false. One that began earlier and
  // is still under way will take this one's entry out again when it ends.
  bool EndAdmitting(EntryRef entry);

 private:
  Keyspace* space_;
  std::string key_;
  uint64_t hash_;
  uint64_t mark_;
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_OWN_WRITE_H_
