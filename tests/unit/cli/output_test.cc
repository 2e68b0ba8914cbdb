#include "client/cli/output.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

namespace larder {
namespace {

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FileCloser>;

std::string Contents(std::FILE* file) {
  std::rewind(file);
  std::string text;
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) text.push_back(static_cast<char>(c));
  return text;
}

class OutputTest : public ::testing::Test {
 protected:
  const File out_{std::tmpfile()};
  const File err_{std::tmpfile()};
};

TEST_F(OutputTest, NamesTheCodeOfAnErrorOnStderrAlone) {
  Output output({}, out_.get(), err_.get());
  EXPECT_EQ(output.Fail({grpc::StatusCode::UNAVAILABLE, "no route"}), ExitCode::kService);
  EXPECT_EQ(Contents(err_.get()), "larder: UNAVAILABLE: no route\n");
  EXPECT_EQ(Contents(out_.get()), "");
}

TEST_F(OutputTest, WritesErrorsAsJsonToo) {
  Output output({.json = true}, out_.get(), err_.get());
  EXPECT_EQ(output.Fail({grpc::StatusCode::INVALID_ARGUMENT, "key: \xFF"}), ExitCode::kService);
  EXPECT_EQ(Contents(out_.get()), "{\"error\":{\"code\":\"INVALID_ARGUMENT\",\"message\":\"key: \xEF\xBF\xBD\"}}\n");
}

TEST_F(OutputTest, TellsTheVersionThatStoodInTheWay) {
  Output output({.json = true}, out_.get(), err_.get());
  EXPECT_EQ(output.FailCondition({grpc::StatusCode::ABORTED, "if_absent"}, "18446744073709551615"), ExitCode::kService);
  EXPECT_EQ(Contents(err_.get()), "larder: ABORTED: if_absent (current version: 18446744073709551615)\n");
  EXPECT_EQ(Contents(out_.get()),
            R"({"error":{"code":"ABORTED","message":"if_absent","current_version":"18446744073709551615"}})"
            "\n");
}

TEST_F(OutputTest, SaysSoWhereThereIsNoVersion) {
  Output output({.json = true}, out_.get(), err_.get());
  output.FailCondition({grpc::StatusCode::ABORTED, "if_present"}, std::nullopt);
  EXPECT_EQ(Contents(err_.get()), "larder: ABORTED: if_present (current version: none)\n");
  EXPECT_EQ(Contents(out_.get()), R"({"error":{"code":"ABORTED","message":"if_present","current_version":null}})"
                                  "\n");
}

TEST_F(OutputTest, WritesDetailsOnlyWhenAskedTo) {
  Output({}, out_.get(), err_.get()).Detail("tier near");
  EXPECT_EQ(Contents(err_.get()), "");
  Output({.verbose = true}, out_.get(), err_.get()).Detail("tier near");
  EXPECT_EQ(Contents(err_.get()), "tier near\n");
}

TEST_F(OutputTest, PassesBytesAsTheyAre) {
  Output output({}, out_.get(), err_.get());
  const std::string bytes("\0\xFF\r\n", 4);
  output.Bytes(bytes);
  EXPECT_EQ(Contents(out_.get()), bytes);
  EXPECT_TRUE(output.Flush());
}

TEST_F(OutputTest, NoticesThatNothingCanBeWritten) {
  const File full(std::fopen("/dev/full", "w"));
  ASSERT_NE(full, nullptr);
  Output output({}, full.get(), err_.get());
  output.Line("lost");
  EXPECT_FALSE(output.Flush());
  EXPECT_EQ(Contents(err_.get()), "larder: cannot write the output: No space left on device\n");
}

TEST(CodeNameTest, NamesEveryCodeAndNumbersTheRest) {
  EXPECT_EQ(CodeName(grpc::StatusCode::OK), "OK");
  EXPECT_EQ(CodeName(grpc::StatusCode::DEADLINE_EXCEEDED), "DEADLINE_EXCEEDED");
  EXPECT_EQ(CodeName(grpc::StatusCode::UNAUTHENTICATED), "UNAUTHENTICATED");
  EXPECT_EQ(CodeName(99), "CODE_99");
}

}  // namespace
}  // namespace larder
