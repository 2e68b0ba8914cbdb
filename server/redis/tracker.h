// Who hears of what anybody writes.
#ifndef LARDER_SERVER_REDIS_TRACKER_H_
#define LARDER_SERVER_REDIS_TRACKER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "server/redis/master_life.h"
#include "server/store/store.h"

namespace larder {

// Tells the holder of near entries which keys change, and how long it may rely on having been told. Belongs to the
// loop's thread, but for what says otherwise.
class Tracker {
 public:
  // Told, in a sentence, of a refusal that somebody must change a configuration for. Once for each turn to the worse.
  using OnTrouble = std::function<void(const std::string& what)>;
  // The namespace's control record is another than the holder knows, or is gone: to be read, or made, by way of the
  // connection whose answers are in order with all others, and handed to the holder.
  using OnUnknown = std::function<void(const std::string& name_space)>;

  virtual ~Tracker() = default;

  // Once; `holder` must outlive this, or Close().
  virtual void Start(NearHolder* holder) = 0;
  // For good. Nothing is told any more.
  virtual void Close() = 0;
  // Asks for everything that is needed to be current, now or in a moment. Does nothing while it does not track.
  virtual void RenewSoon() = 0;
  // COHERENCE S2: `asker` wants to be told once what was written before now has been taken in. While it does not track
  // nobody is told anything.
  virtual void Acknowledge(uint64_t asker, uint64_t round) = 0;
  // Redis may be elsewhere now.
  virtual void Follow() {}
  // Of a Cluster: from whom entries are read from now on. Once it returns, nothing counts that was heard before.
  virtual void SetMasters(std::vector<MasterLife> masters) { static_cast<void>(masters); }

  // Whether the holder is being told. Any thread.
  virtual bool tracks() const = 0;
  // Whether, while it tracks, replicas tell each other. Any thread.
  virtual bool by_channel() const { return false; }
  // Why Redis refuses to tell, and what follows from it; empty while it does, or has not been asked. Any thread.
  virtual std::string refusal() const = 0;
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_TRACKER_H_
