#include "tests/chaos/cluster_form.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/chaos/cluster_view.h"
#include "tests/chaos/keys.h"
#include "tests/chaos/random.h"

namespace larder::chaos {
namespace {

constexpr size_t kNodes = 7;

// What is answered to one command, as it comes; one that hangs is given up after some seconds.
std::string Ask(int port, const std::string& command) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  const timeval patience{.tv_sec = 20, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  const std::string text = command + "\r\nQUIT\r\n";
  std::string answer;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
      ::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size())) {
    char buffer[4'096];
    for (ssize_t size = 0; (size = ::recv(fd, buffer, sizeof(buffer), 0)) > 0;) {
      answer.append(buffer, static_cast<size_t>(size));
    }
  }
  ::close(fd);
  return answer;
}

std::set<int> PortsOf(StoreLinks& links) {
  std::set<int> ports;
  for (size_t i = 0; i < kNodes; ++i) ports.insert(links.link(i).port());
  return ports;
}

std::string EntryKey(int key) { return absl::StrCat("larder:default:e:", KeyName(key)); }

class ClusterFormTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const absl::Status status = form_.Start();
    ASSERT_TRUE(status.ok()) << status;
  }

  void Break(std::string_view fault) {
    const absl::Status status = form_.Break(fault, random_);
    ASSERT_TRUE(status.ok()) << fault << ": " << status;
  }

  ClusterForm form_;
  Random random_{1};
};

TEST_F(ClusterFormTest, TellsEachReplicaOfItsOwnProxiesOnly) {
  std::set<int> seen;
  for (int replica = 0; replica < 2; ++replica) {
    const absl::StatusOr<StoreForm::Way> way = form_.AddReplica();
    ASSERT_TRUE(way.ok()) << way.status();
    const std::set<int> own = PortsOf(*way->links);
    for (const int port : own) {
      const ClusterView view = ClusterView::Parse(Ask(port, "CLUSTER NODES"));
      std::set<int> named;
      for (const ClusterView::Node& node : view.nodes) named.insert(node.port);
      EXPECT_EQ(named, own);
      const std::string sent_on = Ask(port, "GET " + EntryKey(0));
      const size_t at = sent_on.rfind("127.0.0.1:");
      if (!sent_on.starts_with("-MOVED")) continue;
      ASSERT_NE(at, std::string::npos) << sent_on;
      EXPECT_TRUE(own.contains(std::stoi(sent_on.substr(at + 10)))) << sent_on;
      seen.insert(port);
    }
  }
  EXPECT_EQ(seen.size(), 2 * (kNodes - 1)) << "all but who has the slot send on";
}

TEST_F(ClusterFormTest, CommandsFollowTheSlotsOfTheirKeys) {
  for (int key = 0; key < kKeys; ++key) {
    ASSERT_EQ(form_.Command({"SET", EntryKey(key), absl::StrCat(key)}).value_or(""), "OK");
  }
  EXPECT_TRUE(form_.Proof().ok()) << "nothing was to change";
  Break("move-slots");
  Break("fail-over");
  Break("move-slots");
  for (int key = 0; key < kKeys; ++key) {
    EXPECT_EQ(form_.Command({"GET", EntryKey(key)}).value_or(""), absl::StrCat(key));
  }
  const absl::StatusOr<std::string> proof = form_.Proof();
  ASSERT_TRUE(proof.ok()) << proof.status();
  EXPECT_TRUE(proof->starts_with("1 promotions, ")) << *proof;
  EXPECT_EQ(proof->find(" 0 slots"), std::string::npos) << *proof;
}

TEST_F(ClusterFormTest, AMasterThatIsKilledIsReplacedAndBackOnceThatIsOver) {
  const absl::StatusOr<StoreForm::Way> way = form_.AddReplica();
  ASSERT_TRUE(way.ok()) << way.status();
  Break("kill-master");
  for (const int port : PortsOf(*way->links)) {
    EXPECT_NE(Ask(port, "CLUSTER INFO").find("cluster_state:ok"), std::string::npos) << port;
    for (const ClusterView::Node& node : ClusterView::Parse(Ask(port, "CLUSTER NODES")).nodes) {
      EXPECT_TRUE(node.is_well) << node.port << " to " << port;
    }
  }
  EXPECT_EQ(form_.Proof().value_or(""), "1 promotions, 0 slots moved that had keys");
  EXPECT_EQ(form_.Command({"SET", EntryKey(0), "later"}).value_or(""), "OK");
}

}  // namespace
}  // namespace larder::chaos
