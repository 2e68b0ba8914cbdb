// An application that caches what it computes: argv[1] is the service's address. Ends with 0 if every answer was right.
#include <larder/cached.h>
#include <larder/client.h>
#include <larder/json.h>
#include <larder/key_builder.h>
#include <larder/warm_job.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

namespace {

struct Price {
  int cents = 0;
  std::string currency;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Price, cents, currency)

int Fail(const std::string& what) {
  std::cerr << what << "\n";
  return 1;
}

}  // namespace

template <>
struct larder::Codec<Price> : larder::JsonCodec<Price> {};

int main(int argc, char** argv) {
  if (argc != 2) return Fail("usage: consumer HOST:PORT");
  larder::ClientOptions options;
  options.target = argv[1];
  options.deadline = std::chrono::seconds(10);
  auto client = larder::Client::Connect(options);
  if (!client.ok()) return Fail(client.status().ToString());
  larder::Cache& cache = **client;

  if (!cache.Invalidate({.keys = {"price:7"}}).ok()) return Fail("not invalidated");
  int loads = 0;
  for (int i = 0; i < 3; ++i) {
    const absl::StatusOr<Price> price = cache.GetOrLoad<Price>("price:7", std::chrono::minutes(5), [&] {
      ++loads;
      return Price{1250, "EUR"};
    });
    if (!price.ok()) return Fail(price.status().ToString());
    if (price->cents != 1250 || price->currency != "EUR") return Fail("another price");
  }
  if (loads != 1) return Fail("loaded " + std::to_string(loads) + " times");
  const auto hit = cache.Get("price:7");
  if (!hit.ok() || !hit->has_value()) return Fail("no entry");
  std::cout << (*hit)->value.bytes() << "\n";
  return 0;
}
