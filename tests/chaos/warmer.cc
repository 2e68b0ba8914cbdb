#include "tests/chaos/warmer.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "tests/chaos/keys.h"

namespace larder::chaos {
namespace {

constexpr auto kDeadline = std::chrono::seconds(5);

v1::WarmRequest WarmEntry(std::string key, std::string value, const std::vector<std::string>& tags) {
  v1::WarmRequest entry;
  entry.set_key(std::move(key));
  entry.set_value(std::move(value));
  entry.set_ttl_ms(kTtlMillis);
  for (const std::string& tag : tags) entry.add_tags(tag);
  return entry;
}

}  // namespace

void Warmer::Run() {
  while (!stopping()) {
    const int replica = Between(random(), 0, kReplicas - 1);
    WarmUp(*StubOf(fleet(), replica), replica);
    SleepMillis(20);
  }
}

void Warmer::WarmUp(v1::Cache::Stub& stub, int replica) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kDeadline);
  const auto stream = stub.Warm(&context);
  if (AwaitBegin(*stream)) {
    std::vector<Operation> loads;
    for (int key = kFirstWarmed; key < kKeys; ++key) {
      loads.push_back({.kind = OperationKind::kFill,
                       .outcome = Outcome::kUnknown,
                       .key = key,
                       .replica = replica,
                       .value = NextValue(),
                       .loaded = Now()});
    }
    SleepMillis(Between(random(), 0, 1'499));
    for (Operation& load : loads) {
      load.invoked = Now();
      stream->Write(WarmEntry(KeyName(load.key), ValueText(load.key, load.value), TagsOf(load.key)));
    }
    stream->WritesDone();
    v1::WarmProgress progress;
    while (stream->Read(&progress)) {
    }
    for (Operation& load : loads) {
      load.returned = Now();
      Note(load);
    }
  }
  context.TryCancel();
  stream->Finish();
}

bool Warmer::AwaitBegin(Stream& stream) {
  v1::WarmProgress progress;
  do {
    if (!stream.Write(WarmEntry("begin", "begin", {"begin"}))) return false;
    SleepMillis(110);  // reports come ten times a second, and only where there is something to report
    if (!stream.Write(WarmEntry("begin", "begin", {"begin"})) || !stream.Read(&progress)) return false;
  } while (progress.written() + progress.skipped() == 0);
  return true;
}

}  // namespace larder::chaos
