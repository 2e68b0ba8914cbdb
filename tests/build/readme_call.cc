// The README's C++, which readme_test holds against this: here to be compiled, with the library as it is.
#include <iostream>
#include <memory>
#include <string>

#include "larder/client.h"

namespace {

void Use(const std::string& value) { std::cout << value << '\n'; }

std::string LoadUser(int number) { return "user " + std::to_string(number); }

int Fail(const absl::Status& status) {
  std::cerr << status << '\n';
  return 1;
}

}  // namespace

int main() {
  larder::ClientOptions options;
  options.target = "127.0.0.1:50051";  // or dns:///larder-headless:50051, all replicas of a headless service
  absl::StatusOr<std::unique_ptr<larder::Client>> cache = larder::Client::Connect(options);
  if (!cache.ok()) return Fail(cache.status());

  absl::StatusOr<std::string> user = (*cache)->GetOrLoad<std::string>("user:7", "user", [&] { return LoadUser(7); });
  if (user.ok()) Use(*user);
  return user.ok() ? 0 : 1;
}
