// Warms up a few keys again and again, by way of one replica or another.
#ifndef LARDER_TESTS_CHAOS_WARMER_H_
#define LARDER_TESTS_CHAOS_WARMER_H_

#include <memory>

#include "tests/chaos/client.h"

namespace larder::chaos {

class Warmer final : public Client {
 public:
  using Client::Client;

  void Run() override;

 private:
  using Stream = grpc::ClientReaderWriter<v1::WarmRequest, v1::WarmProgress>;

  // Values that were loaded after the warm-up began and are written a good while later: what was invalidated meanwhile
  // must stay so (COHERENCE E4).
  void WarmUp(v1::Cache::Stub& stub, int replica);
  // The first entry's report says that the moment as of which all is written has been fixed.
  static bool AwaitBegin(Stream& stream);
};

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_WARMER_H_
