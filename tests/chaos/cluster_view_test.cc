#include "tests/chaos/cluster_view.h"

#include "gtest/gtest.h"

namespace larder::chaos {
namespace {

// As Redis 7.0 and 7.2 write them.
constexpr char kNodes[] =
    "aaaa 127.0.0.1:17000@27000 myself,master - 0 0 1 connected 0-5460 7000 [93->-bbbb]\n"
    "bbbb 127.0.0.1:17001@27001,,shard-id=9f master - 0 1700 2 connected 5461-6999 7001-16383\n"
    "cccc 127.0.0.1:17002@27002 slave aaaa 0 1700 1 connected\n"
    "dddd 127.0.0.1:17003@27003 master,fail? - 1700 1600 3 connected\n"
    "eeee 127.0.0.1:17004@27004 slave bbbb 0 1700 2 disconnected\n"
    "ffff :0@0 master,noaddr - 1700 1600 3 disconnected\n"
    "not a line of that form\n";

TEST(ClusterView, TellsWhoIsThereAndWhoHasWhat) {
  const ClusterView view = ClusterView::Parse(kNodes);
  ASSERT_EQ(view.nodes.size(), 6U);
  const ClusterView::Node* const asked = view.At(17000);
  ASSERT_NE(asked, nullptr);
  EXPECT_TRUE(asked->is_master && asked->is_well);
  ASSERT_NE(view.ReplicaOf(*asked), nullptr);
  EXPECT_EQ(view.ReplicaOf(*asked)->id, "cccc");
  EXPECT_FALSE(view.At(17002)->is_master);
  EXPECT_EQ(view.owners[5460], 17000);
  EXPECT_EQ(view.owners[5461], 17001);
  EXPECT_EQ(view.owners[7000], 17000);
  EXPECT_EQ(view.owners[16383], 17001);
  EXPECT_TRUE(view.is_moving);
}

TEST(ClusterView, KnowsWhoIsNotWell) {
  const ClusterView view = ClusterView::Parse(kNodes);
  EXPECT_TRUE(view.At(17001)->is_well);
  EXPECT_TRUE(view.At(17002)->is_well);
  EXPECT_FALSE(view.At(17003)->is_well) << "suspected";
  EXPECT_FALSE(view.At(17004)->is_well) << "not connected";
  EXPECT_FALSE(view.At(0)->is_well) << "without an address";
  EXPECT_EQ(view.ReplicaOf(*view.At(17003)), nullptr);
}

TEST(ClusterView, KnowsWhatIsNobodys) {
  const ClusterView view = ClusterView::Parse("aaaa 127.0.0.1:17000@27000 myself,master - 0 0 1 connected 3-4 9\n");
  EXPECT_EQ(view.owners[2], 0);
  EXPECT_EQ(view.owners[3], 17000);
  EXPECT_EQ(view.owners[9], 17000);
  EXPECT_EQ(view.owners[10], 0);
  EXPECT_FALSE(view.is_moving);
}

}  // namespace
}  // namespace larder::chaos
