// Defaults of the settings that change numbers: a run's id leaves them out (sweep/identity.h).
#include "catch.h"
#include "config/config.h"
#include "signature/golden.h"

using namespace plumb;
using namespace plumb::test;

TEST_CASE("signature: defaults of settings that change numbers", "[signature]") {
    Golden golden;
    for (const FieldInfo& f : fields())
        if (f.changes_numbers) golden.add_text(f.key, f.default_value);
    golden.check("defaults", 0);
}

TEST_CASE("a golden section whose lines change is another numerics", "[signature]") {
    Golden golden;
    golden.add("a", std::vector<double>{1.0, 2.0});
    golden.add("b", std::vector<double>{3.0});
    CHECK_FALSE(golden.changes({{"a", "1 2"}, {"gone", "5"}}, 1e-10));
    CHECK_FALSE(golden.changes({{"a", "1.00000000000001 2"}}, 1e-10));
    CHECK(golden.changes({{"a", "1 2.1"}}, 1e-10));
    CHECK(golden.changes({{"b", "3 4"}}, 1e-10));
}
