// The Lua text of the scripts, by what they work on.
#ifndef LARDER_SERVER_REDIS_SCRIPT_SOURCES_H_
#define LARDER_SERVER_REDIS_SCRIPT_SOURCES_H_

#include <string_view>

#include "server/redis/scripts.h"

namespace larder {

// What comes before a script: how to read a control record that is beside what the script works on, or what one that is
// on another server was told to say; and then what is done with either.
extern const std::string_view kControlLibrary;
extern const std::string_view kToldControlLibrary;
extern const std::string_view kAnyControlLibrary;
// What comes before the scripts over entries: how to read and judge a record under a key.
extern const std::string_view kEntryLibrary;

// What comes before the scripts over the members record, in place of all that.
extern const std::string_view kMembersLibrary;

// Empty where the script is of another kind.
std::string_view ControlScriptSource(Script script);
std::string_view MembersScriptSource(Script script);
std::string_view EntryScriptSource(Script script);

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_SCRIPT_SOURCES_H_
