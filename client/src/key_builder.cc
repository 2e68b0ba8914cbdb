#include "larder/key_builder.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>

#include "client/src/sha256.h"

namespace larder {
namespace {

constexpr std::string_view kHashMark = "?!";
constexpr size_t kHashDigits = 64;
constexpr char kUpperDigits[] = "0123456789ABCDEF";
constexpr char kLowerDigits[] = "0123456789abcdef";

bool StandsForItself(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-_.~:/+").find(c) != std::string_view::npos;
}

void AppendHex(unsigned char byte, const char* digits, std::string* out) {
  out->push_back(digits[byte >> 4]);
  out->push_back(digits[byte & 15]);
}

// Zeros before, up to `width`; the sign comes before them.
std::string Padded(int64_t number, size_t width) {
  std::string digits = std::to_string(number < 0 ? -number : number);
  if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
  return number < 0 ? "-" + digits : digits;
}

}  // namespace

namespace internal {

std::string Sha256Hex(std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  // It fails where there is no memory, and a key that is not the right one must not be used.
  if (EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr) != 1) std::abort();
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) AppendHex(digest[i], kLowerDigits, &hex);
  return hex;
}

std::string EscapedKeyText(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    if (StandsForItself(c)) {
      escaped.push_back(c);
    } else {
      escaped.push_back('%');
      AppendHex(static_cast<unsigned char>(c), kUpperDigits, &escaped);
    }
  }
  return escaped;
}

std::string DateKeyText(std::chrono::year_month_day date) {
  return Padded(static_cast<int>(date.year()), 4) + "-" + Padded(static_cast<unsigned>(date.month()), 2) + "-" +
         Padded(static_cast<unsigned>(date.day()), 2);
}

std::string DurationKeyText(int64_t seconds, int64_t nanos) {
  std::string text;
  if (seconds < 0 && nanos > 0) {  // -2 s + 0.5 s is -1.5 s
    ++seconds;
    nanos = 1'000'000'000 - nanos;
    if (seconds == 0) text = "-";
  }
  text += std::to_string(seconds);
  if (nanos > 0) {
    text += "." + Padded(nanos, 9);
    text.erase(text.find_last_not_of('0') + 1);
  }
  return text + "s";
}

}  // namespace internal

KeyBuilder::KeyBuilder(std::string_view prefix, size_t max_bytes)
    : max_bytes_(std::clamp(max_bytes, kMinMaxBytes, kMaxBytes)), prefix_(internal::EscapedKeyText(prefix)) {}

KeyBuilder& KeyBuilder::Page(uint64_t number, uint64_t size) {
  page_ = "#" + std::to_string(number) + "," + std::to_string(size);
  return *this;
}

KeyBuilder& KeyBuilder::Scope(std::string_view user) {
  user_ = "@" + internal::EscapedKeyText(user);
  return *this;
}

KeyBuilder& KeyBuilder::AddText(std::string_view name, std::string text) {
  parameters_.emplace_back(internal::EscapedKeyText(name), std::move(text));
  return *this;
}

std::string KeyBuilder::Build() const {
  std::vector<std::pair<std::string, std::string>> sorted = parameters_;
  std::sort(sorted.begin(), sorted.end());
  std::string key = prefix_;
  char separator = '?';
  for (const auto& [name, text] : sorted) {
    ((key += separator) += name).append("=").append(text);
    separator = '&';
  }
  key.append(page_).append(user_);
  if (key.size() <= max_bytes_) return key;

  const size_t room = max_bytes_ - kHashMark.size() - kHashDigits;
  const size_t prefix_size = std::min(prefix_.size(), room - std::min(user_.size(), room / 2));
  std::string hashed = prefix_.substr(0, prefix_size);
  hashed.append(kHashMark).append(internal::Sha256Hex(key));
  return hashed.append(user_.substr(0, room - prefix_size));
}

}  // namespace larder
