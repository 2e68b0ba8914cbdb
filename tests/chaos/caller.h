// Calls one replica.
#ifndef LARDER_TESTS_CHAOS_CALLER_H_
#define LARDER_TESTS_CHAOS_CALLER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/chaos/client.h"

namespace larder::chaos {

// Reads most of the time; writes and invalidates in every way whose outcome can be judged; fills what it misses.
class Caller final : public Client {
 public:
  Caller(Clients* all, uint64_t seed, int replica) : Client(all, seed), replica_(replica) {}

  void Run() override;

 private:
  void TakeTurn(double dice);
  // Most writes are of a few keys. What is old of the others stays so for long enough to be seen.
  int WrittenKey();
  // Some are read so often that callers meet in the same read of the store.
  int ReadKey();

  void Get(int key);
  void BatchGet();
  void NoteAnswer(const v1::GetResponse& answer, Operation read);
  void NoteFailure(Operation read);

  // Loads a value, which takes its time, and stores it. `leased`: since when the token's position may be.
  void Fill(int key, const std::string& token, int64_t leased);
  void Set(int key);
  void SetIf(int key);
  void Write(int key, uint64_t value, v1::SetRequest request, Operation write);
  void BatchSet();
  // Changes no value: it must not bring one back (COHERENCE E6).
  void Touch(int key);

  void InvalidateKey(int key, bool soft);
  void InvalidateGroup();
  void InvalidateSoftGroup();
  template <typename Concerns>
  void Invalidate(v1::InvalidateRequest request, bool soft, Concerns concerns);

  struct Seen {
    uint64_t version = 0;
    uint64_t value = 0;
  };

  const int replica_;
  std::unique_ptr<v1::Cache::Stub> stub_;
  std::unordered_map<int, Seen> seen_;  // by key, what it was last answered with as fresh
};

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_CALLER_H_
