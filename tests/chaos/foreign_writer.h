// Writes to Redis behind Larder's back.
#ifndef LARDER_TESTS_CHAOS_FOREIGN_WRITER_H_
#define LARDER_TESTS_CHAOS_FOREIGN_WRITER_H_

#include "tests/chaos/client.h"

namespace larder::chaos {

// Removes entries, or replaces them by what is not Larder's: both are invalidations, and noticed under tracking.
class ForeignWriter final : public Client {
 public:
  using Client::Client;

  void Run() override;
};

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_FOREIGN_WRITER_H_
