#ifndef LARDER_SERVER_ENGINE_SWEEP_FLOOR_H_
#define LARDER_SERVER_ENGINE_SWEEP_FLOOR_H_

#include "core/entry.h"
#include "server/store/control.h"

namespace larder {

// COHERENCE C4: the entry was read before a sweep ended that its reader had not heard of, so that a stamp which killed
// it may be forgotten already. It must be read again.
inline bool MayBeSwept(const EntryRef& entry, const ControlUpdate& update) {
  return entry && update.floor > update.since && entry->meta().epoch < update.floor;
}

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_SWEEP_FLOOR_H_
