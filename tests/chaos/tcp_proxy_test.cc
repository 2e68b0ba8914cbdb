#include "tests/chaos/tcp_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "core/clock.h"
#include "gtest/gtest.h"
#include "tests/support/redis_server.h"

namespace larder::chaos {
namespace {

using Which = TcpProxy::Which;
using Direction = TcpProxy::Direction;

constexpr int kPatience = 20'000;  // milliseconds
// For as long as nothing must come: what would come is there within a fraction of it.
constexpr int kNothing = 150;

class Line {
 public:
  explicit Line(int port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~Line() { ::close(fd_); }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  void Send(const std::string& text) {
    EXPECT_EQ(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }

  bool HasNews(int millis) {
    pollfd polled{.fd = fd_, .events = POLLIN, .revents = 0};
    return ::poll(&polled, 1, millis) == 1;
  }

  // What comes next, of so many bytes at most; "(end)" or "(reset)" where that is it.
  std::string Read(size_t bytes) {
    if (!HasNews(kPatience)) return "(nothing)";
    std::string text(bytes, '\0');
    const ssize_t size = ::recv(fd_, text.data(), bytes, 0);
    if (size <= 0) return size == 0 ? "(end)" : errno == ECONNRESET ? "(reset)" : "(error)";
    text.resize(static_cast<size_t>(size));
    return text;
  }

 private:
  const int fd_;
};

class TcpProxyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto redis = RedisServer::Start();
    ASSERT_TRUE(redis.ok()) << redis.status();
    redis_ = *std::move(redis);
    auto proxy = TcpProxy::Start(redis_->port(), {"ECHO marked"});
    ASSERT_TRUE(proxy.ok()) << proxy.status();
    proxy_ = *std::move(proxy);
  }

  std::unique_ptr<RedisServer> redis_;
  std::unique_ptr<TcpProxy> proxy_;
};

TEST_F(TcpProxyTest, PassesOnWhatItIsGiven) {
  Line line(proxy_->port());
  line.Send("PING\r\n");
  EXPECT_EQ(line.Read(100), "+PONG\r\n");
}

TEST_F(TcpProxyTest, PassesOnMoreThanItQueues) {
  Line line(proxy_->port());
  const std::string value(20'000'000, 'x');
  const std::jthread sender(
      [&] { line.Send("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$20000000\r\n" + value + "\r\nSTRLEN key\r\n"); });
  std::string answer;
  while (answer.find(":20000000\r\n") == std::string::npos) {
    const std::string more = line.Read(100);
    ASSERT_FALSE(more.starts_with('(')) << more;
    answer += more;
  }
  EXPECT_TRUE(answer.starts_with("+OK")) << answer;
}

TEST_F(TcpProxyTest, NamesOneAddressForAnother) {
  auto naming =
      TcpProxy::Start(redis_->port(), {}, {{.from = "16380", .to = "40001"}, {.from = "16381", .to = "40002"}});
  ASSERT_TRUE(naming.ok()) << naming.status();
  Line line((*naming)->port());
  line.Send("ECHO 16381,16380,16381\r\n");
  EXPECT_EQ(line.Read(100), "$17\r\n40002,40001,40002\r\n");
  // The server is told what the client says.
  line.Send("SET named 16380\r\n");
  EXPECT_EQ(line.Read(100), "+OK\r\n");
  EXPECT_EQ(redis_->Command({"GET", "named"}).value(), "16380");
  EXPECT_FALSE(TcpProxy::Start(redis_->port(), {}, {{.from = "6380", .to = "40001"}}).ok()) << "lengths would not hold";
}

TEST_F(TcpProxyTest, NamesAnAddressThatComesInPieces) {
  ASSERT_TRUE(proxy_->Substitute({{.from = "10.0.0.1:16380", .to = "10.0.0.2:40001"}}).ok());
  // One after the other, so that wherever the proxy's reads end there is one.
  std::string value, wanted;
  for (int i = 0; i < 20'000; ++i) {
    value += "10.0.0.1:16380";
    wanted += "10.0.0.2:40001";
  }
  ASSERT_TRUE(redis_->Command({"SET", "key", value}).ok());
  Line line(proxy_->port());
  line.Send("GET key\r\n");
  wanted = "$" + std::to_string(value.size()) + "\r\n" + wanted + "\r\n";
  std::string answer;
  while (answer.size() < wanted.size()) {
    const std::string more = line.Read(wanted.size());
    ASSERT_FALSE(more.starts_with('(')) << more;
    answer += more;
  }
  EXPECT_TRUE(answer == wanted);
  EXPECT_FALSE(proxy_->Substitute({{.from = "", .to = ""}}).ok()) << "nothing cannot be found";
}

TEST_F(TcpProxyTest, PassesOnAtTheEndWhatMayBeTheBeginningOfAnAddress) {
  ASSERT_TRUE(proxy_->Substitute({{.from = "\nand more", .to = "\nor other"}}).ok());
  Line line(proxy_->port());
  line.Send("QUIT\r\n");
  std::string answer = line.Read(100);
  if (answer == "+OK\r") answer += line.Read(100);
  EXPECT_EQ(answer, "+OK\r\n");
  EXPECT_EQ(line.Read(100), "(end)");
}

TEST_F(TcpProxyTest, DelaysOneDirection) {
  proxy_->Delay(Which::kAll, Direction::kToClient, 80 * kNanosPerMilli);
  Line line(proxy_->port());
  const int64_t began = SystemClock().NowNanos();
  line.Send("PING\r\n");
  EXPECT_EQ(line.Read(100), "+PONG\r\n");
  EXPECT_GE(SystemClock().NowNanos() - began, 80 * kNanosPerMilli);
}

TEST_F(TcpProxyTest, HoldsAndPassesOnWhatWasHeld) {
  Line line(proxy_->port());
  proxy_->Hold(Which::kAll, Direction::kToClient);
  line.Send("SET held yes\r\n");
  EXPECT_FALSE(line.HasNews(kNothing));
  EXPECT_EQ(redis_->Command({"GET", "held"}).value(), "yes") << "the other way is open";
  proxy_->Heal();
  EXPECT_EQ(line.Read(100), "+OK\r\n");
}

TEST_F(TcpProxyTest, TellsMarkedConnectionsFromOthers) {
  Line marked(proxy_->port());
  Line other(proxy_->port());
  // In two pieces: the marker is found all the same.
  marked.Send("ECHO ma");
  EXPECT_FALSE(marked.HasNews(kNothing));
  marked.Send("rked\r\n");
  EXPECT_EQ(marked.Read(100), "$6\r\nmarked\r\n");
  other.Send("PING\r\n");
  EXPECT_EQ(other.Read(100), "+PONG\r\n");

  EXPECT_EQ(proxy_->Close(Which::kMarked), 1);
  EXPECT_EQ(marked.Read(100), "(end)");
  other.Send("PING\r\n");
  EXPECT_EQ(other.Read(100), "+PONG\r\n");
  EXPECT_EQ(proxy_->Reset(Which::kUnmarked), 1);
  EXPECT_EQ(other.Read(100), "(reset)");
  EXPECT_EQ(proxy_->Reset(Which::kAll), 0);
}

TEST_F(TcpProxyTest, TruncatesAnAnswer) {
  ASSERT_TRUE(redis_->Command({"SET", "key", "0123456789"}).ok());
  Line line(proxy_->port());
  line.Send("PING\r\n");
  EXPECT_EQ(line.Read(100), "+PONG\r\n");
  EXPECT_EQ(proxy_->Truncate(Which::kAll, Direction::kToClient, 8), 1);
  line.Send("GET key\r\n");
  // The reset may overtake the last bytes.
  const std::string answer = line.Read(100);
  EXPECT_TRUE(answer == "$10\r\n012" || answer == "(reset)") << answer;
  if (answer != "(reset)") {
    EXPECT_EQ(line.Read(100), "(reset)");
  }
}

TEST_F(TcpProxyTest, RefusesNewConnections) {
  Line before(proxy_->port());
  before.Send("PING\r\n");
  EXPECT_EQ(before.Read(100), "+PONG\r\n");
  proxy_->Refuse();
  Line line(proxy_->port());
  EXPECT_EQ(line.Read(100), "(end)");
  before.Send("PING\r\n");
  EXPECT_EQ(before.Read(100), "+PONG\r\n");
  proxy_->Heal();
  Line after(proxy_->port());
  after.Send("PING\r\n");
  EXPECT_EQ(after.Read(100), "+PONG\r\n");
}

TEST_F(TcpProxyTest, PassesOnTheEndOfEitherSide) {
  Line line(proxy_->port());
  line.Send("QUIT\r\n");
  EXPECT_EQ(line.Read(100), "+OK\r\n");
  EXPECT_EQ(line.Read(100), "(end)");
}

}  // namespace
}  // namespace larder::chaos
