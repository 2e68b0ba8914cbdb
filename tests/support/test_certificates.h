// Keys and certificates for tests, made by the `openssl` command.
#ifndef LARDER_TESTS_SUPPORT_TEST_CERTIFICATES_H_
#define LARDER_TESTS_SUPPORT_TEST_CERTIFICATES_H_

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include "tests/support/child_process.h"

namespace larder {

// In a temporary folder, `<name>.pem` and `<name>.key` for each. What fails fails the test.
class TestCertificates {
 public:
  TestCertificates() {
    folder_ = (std::filesystem::temp_directory_path() / "larder-certificates-XXXXXX").string();
    if (::mkdtemp(folder_.data()) == nullptr) ADD_FAILURE() << "mkdtemp " << folder_;
  }
  ~TestCertificates() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  TestCertificates(const TestCertificates&) = delete;
  TestCertificates& operator=(const TestCertificates&) = delete;

  void Authority(const std::string& name) {
    OpenSsl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=" + name, "-keyout", key(name), "-out", pem(name)});
  }

  // For `names` as the extension subjectAltName has them, such as `DNS:localhost,IP:127.0.0.1`. It ends in so many
  // days from now; negative: it has ended.
  void Signed(const std::string& authority, const std::string& name, const std::string& names, int days = 2) {
    OpenSsl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=" + name,
             "-keyout", key(name), "-out", Path(name + ".csr")});
    std::ofstream(Path(name + ".ext")) << "subjectAltName=" << names << "\n";
    OpenSsl({"x509", "-req", "-days", std::to_string(days), "-in", Path(name + ".csr"), "-CA", pem(authority), "-CAkey",
             key(authority), "-CAcreateserial", "-extfile", Path(name + ".ext"), "-out", pem(name)});
  }

  std::string pem(const std::string& name) const { return Path(name + ".pem"); }
  std::string key(const std::string& name) const { return Path(name + ".key"); }
  std::string Path(const std::string& file) const { return folder_ + "/" + file; }

  // Puts one's certificate and key in the place of another's, as a rotation does.
  void Replace(const std::string& name, const std::string& by) const {
    for (const auto& [from, to] : {std::pair(pem(by), pem(name)), std::pair(key(by), key(name))}) {
      std::filesystem::copy_file(from, to + ".new", std::filesystem::copy_options::overwrite_existing);
      std::filesystem::rename(to + ".new", to);
    }
  }

 private:
  void OpenSsl(std::vector<std::string> args) const {
    args.insert(args.begin(), "openssl");
    const std::string log = Path("openssl.log");
    auto process = ChildProcess::Start(args, {}, log);
    ASSERT_TRUE(process.ok()) << process.status();
    ASSERT_TRUE((*process)->AwaitEnd(std::chrono::seconds(60)));
    std::ostringstream output;
    output << std::ifstream(log).rdbuf();
    ASSERT_EQ((*process)->wait_status(), 0) << "openssl " << args[1] << ": " << output.str();
  }

  std::string folder_;
};

}  // namespace larder

#endif  // LARDER_TESTS_SUPPORT_TEST_CERTIFICATES_H_
