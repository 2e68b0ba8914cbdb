#include "server/redis/redis_pipeline.h"

#include "absl/strings/str_cat.h"

namespace larder {

RedisPipeline& RedisPipeline::Add(std::initializer_list<std::string_view> args) {
  Begin(args.size());
  for (std::string_view arg : args) Arg(arg);
  return *this;
}

RedisPipeline& RedisPipeline::Begin(size_t args) {
  begins_.push_back(text_.size());
  absl::StrAppend(&text_, "*", args, "\r\n");
  return *this;
}

RedisPipeline& RedisPipeline::Arg(std::string_view first, std::string_view second, std::string_view third) {
  const size_t size = first.size() + second.size() + third.size();
  absl::StrAppend(&text_, "$", size, "\r\n");
  text_.append(first).append(second).append(third).append("\r\n");
  return *this;
}

RedisPipeline& RedisPipeline::BeginScript(Script script, size_t keys, size_t args) {
  Begin(3 + keys + args);
  Arg("EVALSHA");
  Arg(std::string(kScriptHashBytes, '0'));
  hash_places_.emplace_back(text_.size() - kScriptHashBytes - 2, script);
  return Arg(absl::StrCat(keys));
}

RedisPipeline& RedisPipeline::AddLoad(Script script, ScriptForm form) {
  return Add({"SCRIPT", "LOAD", ScriptBody(script, form)});
}

void RedisPipeline::FillHashes(const ScriptHashes& hashes) {
  for (const auto& [place, script] : hash_places_) {
    text_.replace(place, kScriptHashBytes, hashes[static_cast<size_t>(script)]);
  }
}

void RedisPipeline::Append(const RedisPipeline& other) {
  const size_t shift = text_.size();
  text_.append(other.text_);
  for (size_t begin : other.begins_) begins_.push_back(shift + begin);
  for (const auto& [place, script] : other.hash_places_) hash_places_.emplace_back(shift + place, script);
}

RedisPipeline RedisPipeline::Asking() const {
  RedisPipeline asking;
  auto place = hash_places_.begin();
  for (size_t i = 0; i < size(); ++i) {
    asking.Add({"ASKING"});
    const std::string_view text = command(i);
    const size_t begin = begins_[i];
    for (; place != hash_places_.end() && place->first < begin + text.size(); ++place) {
      asking.hash_places_.emplace_back(asking.text_.size() + place->first - begin, place->second);
    }
    asking.begins_.push_back(asking.text_.size());
    asking.text_.append(text);
  }
  return asking;
}

std::string_view RedisPipeline::command(size_t i) const {
  const size_t end = i + 1 < begins_.size() ? begins_[i + 1] : text_.size();
  return std::string_view(text_).substr(begins_[i], end - begins_[i]);
}

}  // namespace larder
