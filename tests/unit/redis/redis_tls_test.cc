// Redis behind TLS: served, and refused where it is not who it should be.
#include "server/redis/redis_tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/redis_store_fixture.h"
#include "tests/support/test_certificates.h"

namespace larder {
namespace {

using testing::HasSubstr;

// Made once, since it takes a moment.
TestCertificates& Shared() {
  static TestCertificates& certificates = *[] {
    auto made = std::make_unique<TestCertificates>();
    made->Authority("authority");
    made->Authority("stranger");
    made->Signed("authority", "server", "DNS:localhost,DNS:redis.example,IP:127.0.0.1");
    made->Signed("authority", "elsewhere", "DNS:elsewhere.example,IP:10.9.8.7");
    made->Signed("authority", "expired", "DNS:localhost,IP:127.0.0.1", -1);
    made->Signed("stranger", "strange", "DNS:localhost,IP:127.0.0.1");
    made->Signed("authority", "client", "DNS:larder");
    made->Signed("authority", "late-client", "DNS:larder", -1);
    made->Signed("stranger", "strange-client", "DNS:larder");
    return made.release();
  }();
  return certificates;
}

class Removal : public testing::Environment {
 public:
  void TearDown() override { delete &Shared(); }
};
const testing::Environment* const kRemoval = testing::AddGlobalTestEnvironment(new Removal);  // NOLINT: gtest owns it

// Counts what it is told, and admits everything.
class Holder final : public NearHolder {
 public:
  ClockPosition Known(std::string_view) const override {
    MutexLock lock(&mutex_);
    return known_;
  }
  void OnChanged(std::string_view name_space, std::string_view key) override {
    MutexLock lock(&mutex_);
    if (name_space == "default") changed_.emplace_back(key);
  }
  void OnBegin() override {}
  bool OnCurrent(std::string_view name_space, const ControlUpdate& update, int64_t) override {
    MutexLock lock(&mutex_);
    if (name_space == "default") known_.epoch = update.epoch;
    ++renewals_;
    return true;
  }
  void OnControl(std::string_view, const ControlUpdate& update) override {
    MutexLock lock(&mutex_);
    known_ = {update.generation, update.epoch};
  }
  void OnLost() override {}

  bool HasChanged(const std::string& key) const {
    MutexLock lock(&mutex_);
    return std::find(changed_.begin(), changed_.end(), key) != changed_.end();
  }
  int renewals() const {
    MutexLock lock(&mutex_);
    return renewals_;
  }

 private:
  mutable Mutex mutex_;
  ClockPosition known_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> changed_ ABSL_GUARDED_BY(mutex_);
  int renewals_ ABSL_GUARDED_BY(mutex_) = 0;
};

class RedisTlsTest : public RedisStoreFixture {
 protected:
  ~RedisTlsTest() override { store_.reset(); }  // it tells the holder

  // `more`: further arguments of the server.
  void StartTlsServer(const std::string& certificate, std::vector<std::string> more = {"--tls-auth-clients", "no"}) {
    RedisServer::Options options;
    options.tls = true;
    options.extra_args = {"--tls-cert-file",         Shared().pem(certificate), "--tls-key-file",
                          Shared().key(certificate), "--tls-ca-cert-file",      Shared().pem("authority")};
    options.extra_args.insert(options.extra_args.end(), more.begin(), more.end());
    StartServer(options);
  }
  RedisOptions TlsOptions() const {
    RedisOptions options = PatientOptions();
    options.port = server_->tls_port();
    options.tls.enabled = true;
    options.tls.ca_file = Shared().pem("authority");
    return options;
  }
  // What keeps the store from its Redis, once it is another reason than the one before.
  std::string Refusal(const RedisOptions& options) {
    store_ = MakeStore(options);
    EXPECT_TRUE(Eventually([&] { return DescribeNow(*store_)->detail != "not connected yet"; }));
    EXPECT_NE(store_->state(), StoreInfo::State::kReady);
    return DescribeNow(*store_)->detail;
  }
  std::string AllWarnings() {
    MutexLock lock(&warnings_mutex_);
    std::string all;
    for (const std::string& warning : warnings_) all += warning + "; ";
    return all;
  }
  std::string LastWarning() {
    MutexLock lock(&warnings_mutex_);
    return warnings_.empty() ? "" : warnings_.back();
  }

  Holder holder_;
};

TEST_F(RedisTlsTest, ServesEveryKindOfConnection) {
  StartTlsServer("server");
  RedisOptions options = TlsOptions();
  StartStore(options);
  store_->SetNearHolder(&holder_);
  ASSERT_TRUE(Set(*store_, "key", "value").ok());
  EXPECT_EQ(Value(*store_, "key"), "value");
  // Tracking.
  ASSERT_TRUE(Eventually([&] { return store_->tracks() && holder_.renewals() > 2; }));
  std::unique_ptr<RedisStore> other = MakeStore(options);
  ASSERT_TRUE(AwaitReady(*other));
  ASSERT_TRUE(Set(*other, "peer", "v").ok());
  EXPECT_TRUE(Eventually([&] { return holder_.HasChanged("peer"); }));
}

// Written while others are read, so that TLS has to wait in both directions, and larger than any buffer on the way.
TEST_F(RedisTlsTest, CarriesLargeValues) {
  StartTlsServer("server");
  RedisOptions options = TlsOptions();
  options.compress_from_bytes = 0;
  StartStore(options);
  const std::string large(8 << 20, 'x');
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Set(*store_, "key" + std::to_string(i), large).ok());
  for (int i = 0; i < 6; ++i) {
    CallResult<ReadResult> read;
    CallResult<WriteResult> write;
    store_->Read({"default", {"key" + std::to_string(i % 3)}, {}, 0}, read.Callback());
    store_->Write(Request("other" + std::to_string(i), large), write.Callback());
    absl::StatusOr<ReadResult> result = read.Wait();
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_TRUE(result->entries[0]);
    EXPECT_TRUE(result->entries[0]->value() == large);
    EXPECT_TRUE(write.Wait().ok());
  }
  EXPECT_EQ(DescribeNow(*store_)->disconnects, 0);
}

// Not all at once: Redis may close a TLS connection whose answers wait for the other side to read ("bad length").
TEST_F(RedisTlsTest, ServesManySmallOnes) {
  StartTlsServer("server");
  StartStore(TlsOptions());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Set(*store_, "key" + std::to_string(i), "value").ok());
  constexpr int kRounds = 100;
  constexpr int kAtOnce = 100;
  const int64_t begun = clock_.NowNanos();
  for (int round = 0; round < kRounds; ++round) {
    std::vector<CallResult<ReadResult>> reads(kAtOnce);
    for (int i = 0; i < kAtOnce; ++i) {
      store_->Read({"default", {"key" + std::to_string(i)}, {}, 0}, reads[static_cast<size_t>(i)].Callback());
    }
    for (CallResult<ReadResult>& call : reads) {
      const absl::Status status = call.Wait().status();
      ASSERT_TRUE(status.ok()) << status;
    }
  }
  const int64_t per_second = kRounds * kAtOnce * kNanosPerSecond / (clock_.NowNanos() - begun);
  RecordProperty("reads_per_second", std::to_string(per_second));
  std::cout << "reads a second over TLS: " << per_second << "\n";
  EXPECT_GT(per_second, 500);
}

TEST_F(RedisTlsTest, ALostConnectionIsMadeAgain) {
  StartTlsServer("server");
  StartStore(TlsOptions());
  ASSERT_TRUE(Set(*store_, "key", "value").ok());
  ASSERT_NE(Redis({"CLIENT", "KILL", "TYPE", "normal"}), "0");
  ASSERT_TRUE(Eventually([&] { return DescribeNow(*store_)->disconnects == 1; }));
  ASSERT_TRUE(AwaitReady(*store_));
  EXPECT_EQ(Value(*store_, "key"), "value");
  server_->Kill();
  ASSERT_TRUE(Eventually([&] { return store_->state() == StoreInfo::State::kDown; }));
  ASSERT_TRUE(server_->Restart().ok());
  ASSERT_TRUE(AwaitReady(*store_));
  EXPECT_TRUE(Set(*store_, "key", "again").ok());
}

TEST_F(RedisTlsTest, SaysWhoItIsWhereThatIsDemanded) {
  StartTlsServer("server", {"--tls-auth-clients", "yes"});
  RedisOptions options = TlsOptions();
  EXPECT_THAT(Refusal(options), HasSubstr("client certificate (tls.cert_file)"));
  options.tls.cert_file = Shared().pem("strange-client");
  options.tls.key_file = Shared().key("strange-client");
  EXPECT_EQ(Refusal(options), "Redis does not know the CA of our certificate (tls.cert_file)");
  options.tls.cert_file = Shared().pem("late-client");
  options.tls.key_file = Shared().key("late-client");
  EXPECT_EQ(Refusal(options), "our certificate (tls.cert_file) has expired, says Redis");
  options.tls.cert_file = Shared().pem("client");
  options.tls.key_file = Shared().key("client");
  StartStore(options);
  EXPECT_TRUE(Set(*store_, "key", "value").ok());
}

TEST_F(RedisTlsTest, RefusesACertificateForAnotherName) {
  StartTlsServer("elsewhere");
  RedisOptions options = TlsOptions();
  EXPECT_EQ(Refusal(options),
            "the server's certificate is not for \"127.0.0.1\"; tls.server_name can say which name it is for");
  EXPECT_THAT(LastWarning(), HasSubstr("is not for \"127.0.0.1\""));
  options.host = "localhost";
  EXPECT_THAT(Refusal(options), HasSubstr("the server's certificate is not for \"localhost\""));
  // It is who it is said to be.
  options.tls.server_name = "elsewhere.example";
  StartStore(options);
  options.host = "127.0.0.1";
  options.tls.server_name = "10.9.8.7";
  StartStore(options);
  options.tls.server_name = "10.9.8.8";
  EXPECT_THAT(Refusal(options), HasSubstr("is not for \"10.9.8.8\""));
}

TEST_F(RedisTlsTest, VerifiesTheHostByDefault) {
  StartTlsServer("server");
  RedisOptions options = TlsOptions();
  StartStore(options);
  options.host = "localhost";
  StartStore(options);
  options.tls.server_name = "redis.example";
  StartStore(options);
}

TEST_F(RedisTlsTest, RefusesAnExpiredCertificate) {
  StartTlsServer("expired");
  EXPECT_EQ(Refusal(TlsOptions()), "the server's certificate has expired");
}

TEST_F(RedisTlsTest, RefusesAnUnknownAuthority) {
  StartTlsServer("strange");
  RedisOptions options = TlsOptions();
  EXPECT_EQ(Refusal(options), "the server's certificate is of a CA that is not trusted here (tls.ca_file)");
  // Nor does the system know it.
  options.tls.ca_file = "";
  EXPECT_EQ(Refusal(options), "the server's certificate is of a CA that is not trusted here (tls.ca_file)");
  options.tls.ca_file = Shared().pem("stranger");
  StartStore(options);
}

// A Redis that was good goes bad and is mended, with nothing restarted here.
TEST_F(RedisTlsTest, ReadsItsFilesAgainForEachConnection) {
  TestCertificates own;
  own.Authority("old");
  own.Authority("new");
  own.Signed("old", "mine", "DNS:larder");
  own.Signed("new", "next", "DNS:larder");
  own.Signed("new", "server", "IP:127.0.0.1");
  RedisServer::Options server;
  server.tls = true;
  server.extra_args = {"--tls-cert-file",    own.pem("server"), "--tls-key-file",     own.key("server"),
                       "--tls-ca-cert-file", own.pem("new"),    "--tls-auth-clients", "yes"};
  StartServer(server);
  RedisOptions options = TlsOptions();
  options.tls.ca_file = own.pem("old");
  options.tls.cert_file = own.pem("mine");
  options.tls.key_file = own.key("mine");
  EXPECT_THAT(Refusal(options), HasSubstr("of a CA that is not trusted here"));
  own.Replace("old", "new");
  ASSERT_TRUE(Eventually([&] {
    return DescribeNow(*store_)->detail.find("does not know the CA") != std::string::npos;
  })) << DescribeNow(*store_)->detail;
  // Told in the log too, as it is another reason.
  EXPECT_THAT(LastWarning(), HasSubstr("does not know the CA of our certificate"));
  own.Replace("mine", "next");
  EXPECT_TRUE(AwaitReady(*store_));
  // One that cannot be read any more is said, and does no harm to what is connected.
  std::ofstream(own.pem("mine")) << "nonsense";
  EXPECT_TRUE(Set(*store_, "key", "value").ok());
  ASSERT_NE(Redis({"CLIENT", "KILL", "TYPE", "normal"}), "0");
  ASSERT_TRUE(Eventually([&] { return DescribeNow(*store_)->detail.find("tls.cert_file: cannot use") == 0; }))
      << DescribeNow(*store_)->detail;
}

TEST_F(RedisTlsTest, SaysWhichOfTheTwoSpeaksTls) {
  StartTlsServer("server");
  RedisOptions options = TlsOptions();
  options.connect_timeout_nanos = 300 * kNanosPerMilli;
  options.port = server_->port();
  EXPECT_THAT(Refusal(options), testing::AnyOf(HasSubstr("does not speak TLS"), HasSubstr("TLS handshake")));
  options = PatientOptions();
  options.port = server_->tls_port();
  EXPECT_THAT(Refusal(options), testing::EndsWith("if Redis speaks TLS on this port, write rediss://"));
}

TEST(CheckTlsFilesTest, NamesTheFieldOfWhatCannotBeUsed) {
  const auto problem = [](const RedisTlsOptions& options) {
    const absl::Status status = CheckTlsFiles(options);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  const TestCertificates& made = Shared();
  RedisTlsOptions options;
  EXPECT_TRUE(CheckTlsFiles(options).ok());
  options.ca_file = "/no/such";
  EXPECT_EQ(problem(options), "tls.ca_file: cannot use \"/no/such\": No such file or directory");
  options.ca_file = made.key("client");
  EXPECT_THAT(problem(options), HasSubstr("tls.ca_file: cannot use"));
  options.ca_file = "";
  options.ca_path = "/no/such";
  EXPECT_EQ(problem(options), "tls.ca_path: cannot use \"/no/such\": No such file or directory");
  options.ca_path = made.pem("client");
  EXPECT_THAT(problem(options), HasSubstr("is not a folder"));
  options.ca_path = "";
  options.cert_file = "/no/such";
  options.key_file = made.key("client");
  EXPECT_EQ(problem(options), "tls.cert_file: cannot use \"/no/such\": No such file or directory");
  options.cert_file = made.pem("client");
  options.key_file = "/no/such";
  EXPECT_EQ(problem(options), "tls.key_file: cannot use \"/no/such\": No such file or directory");
  options.key_file = made.key("server");
  EXPECT_THAT(problem(options), testing::EndsWith("\" is not the key of \"" + made.pem("client") + "\""));
  options.key_file = made.key("client");
  EXPECT_TRUE(CheckTlsFiles(options).ok());
}

}  // namespace
}  // namespace larder
