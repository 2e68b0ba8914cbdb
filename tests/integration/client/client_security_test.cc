// TLS and tokens, against a service that has them.
#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "larder/client.h"
#include "tests/integration/client/script_test.h"
#include "tests/support/child_process.h"

namespace larder {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Identity {
  std::string certificate;
  std::string key;
};

// Keys and certificates made with the `openssl` command, in a folder of their own.
class CertificateMaker {
 public:
  CertificateMaker() {
    folder_ = (std::filesystem::temp_directory_path() / "larder-certificates-XXXXXX").string();
    if (::mkdtemp(folder_.data()) == nullptr) ADD_FAILURE() << "mkdtemp " << folder_;
  }
  ~CertificateMaker() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  CertificateMaker(const CertificateMaker&) = delete;
  CertificateMaker& operator=(const CertificateMaker&) = delete;

  Identity Authority(const std::string& name) {
    OpenSsl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=" + name, "-keyout", Path(name, "key"), "-out", Path(name, "pem")});
    return Read(name);
  }

  // Signed by an authority of that name; valid for `dns`.
  Identity Signed(const std::string& authority, const std::string& name, const std::string& dns) {
    OpenSsl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=" + name,
             "-keyout", Path(name, "key"), "-out", Path(name, "csr")});
    std::ofstream(Path(name, "ext")) << "subjectAltName=DNS:" << dns << "\n";
    OpenSsl({"x509", "-req", "-days", "2", "-in", Path(name, "csr"), "-CA", Path(authority, "pem"), "-CAkey",
             Path(authority, "key"), "-CAcreateserial", "-extfile", Path(name, "ext"), "-out", Path(name, "pem")});
    return Read(name);
  }

 private:
  std::string Path(const std::string& name, const std::string& ending) const {
    return absl::StrCat(folder_, "/", name, ".", ending);
  }

  static std::string ReadFile(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  Identity Read(const std::string& name) const { return {ReadFile(Path(name, "pem")), ReadFile(Path(name, "key"))}; }

  void OpenSsl(std::vector<std::string> args) const {
    args.insert(args.begin(), "openssl");
    const std::string log = Path("openssl", "log");
    auto process = ChildProcess::Start(args, {}, log);
    ASSERT_TRUE(process.ok()) << process.status();
    ASSERT_TRUE((*process)->AwaitEnd(std::chrono::seconds(60)));
    ASSERT_EQ((*process)->wait_status(), 0) << "openssl " << args[1] << ": " << ReadFile(log);
  }

  std::string folder_;
};

// What all tests share; making it takes a moment.
struct Certificates {
  Certificates() {
    CertificateMaker maker;
    authority = maker.Authority("authority");
    stranger = maker.Authority("stranger");
    server = maker.Signed("authority", "server", "localhost");
    wrong_server = maker.Signed("authority", "wrong", "wrong.example");
    client = maker.Signed("authority", "client", "client.example");
    strange_client = maker.Signed("stranger", "strange", "client.example");
  }

  Identity authority;
  Identity stranger;
  Identity server;
  Identity wrong_server;
  Identity client;
  Identity strange_client;
};

class ClientSecurityTest : public ScriptTest {
 protected:
  static void SetUpTestSuite() { certificates_ = std::make_unique<Certificates>(); }
  static void TearDownTestSuite() { certificates_.reset(); }

  // A service that shows `identity`, and wants a certificate of the authority's from its callers if `mutual`.
  static std::unique_ptr<ScriptedService> StartTls(const Identity& identity, bool mutual = false) {
    grpc::SslServerCredentialsOptions ssl(mutual ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                                 : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
    ssl.pem_key_cert_pairs.push_back({identity.key, identity.certificate});
    if (mutual) ssl.pem_root_certs = certificates_->authority.certificate;
    return Start({.credentials = grpc::SslServerCredentials(ssl)});
  }

  ClientOptions Trusting(const Identity& authority) {
    ClientOptions options = Plain();
    options.target = absl::StrCat("localhost:", service_->port());
    options.deadline = std::chrono::seconds(20);
    options.tls = TlsOptions{.ca_certificates = authority.certificate};
    return options;
  }

  // Whether calls reach the service; where they do not, it is said how they must end.
  bool Reaches(const ClientOptions& options) {
    const int before = service_->arrivals(Method::kSet);
    auto client = Client::Connect(options);
    EXPECT_TRUE(client.ok()) << client.status();
    if (!client.ok()) return false;
    const absl::Status status = (*client)->Set("k", "v").status();
    const int arrived = service_->arrivals(Method::kSet) - before;
    if (!status.ok()) {
      EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
      EXPECT_EQ(arrived, 0);
      return false;
    }
    EXPECT_EQ(arrived, 1);
    return true;
  }

  static std::unique_ptr<Certificates> certificates_;
};

std::unique_ptr<Certificates> ClientSecurityTest::certificates_;

// --- TLS ------------------------------------------------------------------------------------------------------------

TEST_F(ClientSecurityTest, AServerOfTheAuthorityIsCalled) {
  service_ = StartTls(certificates_->server);
  EXPECT_TRUE(Reaches(Trusting(certificates_->authority)));
}

TEST_F(ClientSecurityTest, EveryCallGoesOverTls) {
  service_ = StartTls(certificates_->server);
  const auto client = Connect(Trusting(certificates_->authority));
  for (const Operation& operation : AllOperations()) {
    EXPECT_EQ(operation.run(*client), absl::OkStatus()) << operation;
    EXPECT_EQ(service_->arrivals(operation.method), 1) << operation;
  }
}

TEST_F(ClientSecurityTest, AServerOfAnotherAuthorityIsNot) {
  service_ = StartTls(certificates_->server);
  EXPECT_FALSE(Reaches(Trusting(certificates_->stranger)));
}

TEST_F(ClientSecurityTest, AServerWhoseCertificateIsForAnotherNameIsNot) {
  service_ = StartTls(certificates_->wrong_server);
  EXPECT_FALSE(Reaches(Trusting(certificates_->authority)));
}

TEST_F(ClientSecurityTest, AnAddressIsNotTheName) {
  service_ = StartTls(certificates_->server);
  ClientOptions options = Trusting(certificates_->authority);
  options.target = service_->target();
  EXPECT_FALSE(Reaches(options));
}

TEST_F(ClientSecurityTest, TheNameMayBeGiven) {
  service_ = StartTls(certificates_->wrong_server);
  ClientOptions options = Trusting(certificates_->authority);
  options.tls->server_name = "wrong.example";
  EXPECT_TRUE(Reaches(options));
  options.target = service_->target();
  EXPECT_TRUE(Reaches(options));
  options.tls->server_name = "localhost";
  EXPECT_FALSE(Reaches(options));
}

TEST_F(ClientSecurityTest, AServerWithoutTlsIsNotCalledWithIt) {
  EXPECT_FALSE(Reaches(Trusting(certificates_->authority)));
}

TEST_F(ClientSecurityTest, ACallerIsKnownByItsCertificate) {
  service_ = StartTls(certificates_->server, /*mutual=*/true);
  ClientOptions options = Trusting(certificates_->authority);
  options.tls->certificate = certificates_->client.certificate;
  options.tls->private_key = certificates_->client.key;
  EXPECT_TRUE(Reaches(options));
}

TEST_F(ClientSecurityTest, ACallerWithoutACertificateIsRefused) {
  service_ = StartTls(certificates_->server, /*mutual=*/true);
  EXPECT_FALSE(Reaches(Trusting(certificates_->authority)));
}

TEST_F(ClientSecurityTest, ACallerWithAStrangersCertificateIsRefused) {
  service_ = StartTls(certificates_->server, /*mutual=*/true);
  ClientOptions options = Trusting(certificates_->authority);
  options.tls->certificate = certificates_->strange_client.certificate;
  options.tls->private_key = certificates_->strange_client.key;
  EXPECT_FALSE(Reaches(options));
}

TEST_F(ClientSecurityTest, HalfAnIdentityIsRefusedByName) {
  ClientOptions options = Trusting(certificates_->authority);
  options.tls->certificate = certificates_->client.certificate;
  const absl::Status status = Client::Connect(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("tls.certificate: certificate and private_key must be given together"));
}

// --- tokens
// -----------------------------------------------------------------------------------------------------------

class ClientTokenTest : public ScriptTest {
 protected:
  ClientOptions WithToken(const std::string& token) {
    ClientOptions options = Plain();
    options.token = [token] { return token; };
    options.allow_plaintext_token = true;
    return options;
  }

  std::vector<std::string> Authorizations(Method method) const {
    std::vector<std::string> result;
    for (const Arrival& arrival : service_->seen(method)) result.push_back(arrival.authorization);
    return result;
  }
};

TEST_F(ClientTokenTest, EveryCallCarriesIt) {
  const auto client = Connect(WithToken("se cret~"));
  for (const Operation& operation : AllOperations()) {
    EXPECT_EQ(operation.run(*client), absl::OkStatus()) << operation;
    EXPECT_THAT(Authorizations(operation.method), ElementsAre("Bearer se cret~")) << operation;
  }
}

TEST_F(ClientTokenTest, WithoutOneThereIsNoAuthorization) {
  const auto client = Connect(Plain());
  EXPECT_TRUE(client->Get("k").ok());
  EXPECT_THAT(Authorizations(Method::kGet), ElementsAre(""));
}

TEST_F(ClientTokenTest, EveryAttemptCarriesItAndCallsUseTheOneOfTheMoment) {
  const Answer away = Answer::Fail(grpc::StatusCode::UNAVAILABLE);
  service_->On(Method::kGet, InTurn({away, away, Answer()}));
  auto made = std::make_shared<std::atomic<int>>(0);
  ClientOptions options = WithToken("");
  options.token = [made] { return absl::StrCat("token", ++*made); };
  const auto client = Connect(options);
  EXPECT_TRUE(client->Get("k").ok());
  EXPECT_TRUE(client->Touch("k").ok());
  const std::vector<std::string> attempts = Authorizations(Method::kGet);
  ASSERT_EQ(attempts.size(), 3u);
  EXPECT_THAT(attempts, Each(HasSubstr("Bearer token")));
  EXPECT_EQ(attempts[0], "Bearer token1");
  ASSERT_EQ(service_->arrivals(Method::kTouch), 1);
  EXPECT_NE(Authorizations(Method::kTouch)[0], "Bearer token1");
}

TEST_F(ClientTokenTest, TheNewlineAtItsEndIsNotSent) {
  for (const std::string token : {"secret\n", "secret\r\n"}) {
    const auto client = Connect(WithToken(token));
    EXPECT_TRUE(client->Get("k").ok());
    EXPECT_EQ(client->Warm(Entries(1)).status(), absl::OkStatus());
  }
  EXPECT_THAT(Authorizations(Method::kGet), ElementsAre("Bearer secret", "Bearer secret"));
  EXPECT_THAT(Authorizations(Method::kWarm), ElementsAre("Bearer secret", "Bearer secret"));
}

TEST_F(ClientTokenTest, OneThatCannotBeSentEndsTheCallAndNotTheProcess) {
  const std::string with_zero("se\0cret", 7);
  for (const std::string& token : {std::string("se\ncret"), std::string("\x01secret"), std::string("secret\x7f"),
                                   std::string("s\xc3\xa9"
                                               "cret"),
                                   with_zero}) {
    const auto client = Connect(WithToken(token));
    for (const Operation& operation : AllOperations()) {
      const absl::Status status = operation.run(*client);
      EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated) << operation << " " << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr("token")) << operation;
      EXPECT_THAT(std::string(status.message()), ::testing::Not(HasSubstr("cret"))) << operation;
      EXPECT_EQ(service_->arrivals(operation.method), 0) << operation;
    }
  }
}

TEST_F(ClientTokenTest, InPlaintextItIsRefused) {
  ClientOptions options = WithToken("secret");
  options.allow_plaintext_token = false;
  const absl::Status status = Client::Connect(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(status.message()), "token: would travel in plaintext; set tls, or allow_plaintext_token");
  EXPECT_EQ(service_->arrivals(Method::kGet), 0);
}

TEST_F(ClientSecurityTest, ATokenGoesOverTls) {
  service_ = StartTls(certificates_->server);
  ClientOptions options = Trusting(certificates_->authority);
  options.token = [] { return std::string("secret"); };
  EXPECT_TRUE(Reaches(options));
  EXPECT_EQ(service_->seen(Method::kSet)[0].authorization, "Bearer secret");
}

// --- unix sockets
// -----------------------------------------------------------------------------------------------------

class ClientUnixSocketTest : public ClientTokenTest {
 protected:
  void SetUp() override {
    folder_ = (std::filesystem::temp_directory_path() / "larder-socket-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    service_ = Start({.address = absl::StrCat("unix:", folder_, "/larder.sock")});
    ASSERT_NE(service_, nullptr);
  }
  void TearDown() override {
    service_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::string folder_;
};

TEST_F(ClientUnixSocketTest, EveryCallWorks) {
  const auto client = Connect(Plain());
  EXPECT_THAT(client->Replicas(), ElementsAre(service_->target()));
  for (const Operation& operation : AllOperations()) {
    EXPECT_EQ(operation.run(*client), absl::OkStatus()) << operation;
    EXPECT_EQ(service_->arrivals(operation.method), 1) << operation;
  }
}

TEST_F(ClientUnixSocketTest, ATokenNeedsNoTls) {
  ClientOptions options = WithToken("secret");
  options.allow_plaintext_token = false;
  const auto client = Connect(options);
  EXPECT_TRUE(client->Get("k").ok());
  EXPECT_THAT(Authorizations(Method::kGet), ElementsAre("Bearer secret"));
}

TEST_F(ClientUnixSocketTest, ASocketThatIsNotThereIsUnavailable) {
  ClientOptions options = Plain();
  options.target = absl::StrCat("unix:", folder_, "/nobody.sock");
  const auto client = Client::Connect(options);
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_EQ((*client)->Set("k", "v").status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace larder
