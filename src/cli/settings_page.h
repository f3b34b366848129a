// A setting as an entry of `plumb list settings` and of `plumb help KEY`.
#pragma once

#include "cli/list_command.h"
#include "config/config.h"

namespace plumb {

ListItem setting_item(const FieldInfo& field);

}  // namespace plumb
