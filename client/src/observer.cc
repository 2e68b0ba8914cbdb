#include "larder/observer.h"

namespace larder {

Observer::~Observer() = default;

}  // namespace larder
