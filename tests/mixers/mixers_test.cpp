#include "support/every_mixer.h"

using namespace plumb;

TEST_CASE("the mixer table", "[mixers]") {
    for (const MixerInfo& info : mixers()) {
        CHECK(&find_mixer(info.name) == &info);
        CHECK(!info.test_settings.empty());
        CHECK(!info.paper.empty());
        for (const auto& settings : info.test_settings)
            for (const std::string& s : settings) {
                const std::string key = s.substr(0, s.find('='));
                CHECK(info.reads(key));
            }
    }
    CHECK_THROWS_WITH(find_mixer("atnres"), contains_text("'attnres'"));
    CHECK_THROWS_AS(find_mixer("atnres"), UsageError);
}
