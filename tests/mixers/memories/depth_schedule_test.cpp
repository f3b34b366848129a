#include "mixers/memories/depth_schedule.h"

#include "catch.h"

#include <algorithm>
#include <set>

using namespace plumb;

namespace {

// A window beside source 0; every other source, by every third read.
bool newest(int l, int i) { return i == 0 || i >= l - 3; }
bool every_other(int l, int i) { return l % 3 == 1 && (l - i) % 2 == 0; }

template <class F>
void for_every_schedule(F&& f) {
    for (const int sublayers : {1, 2, 7, 24})
        for (const int block_size : {1, 3, 8, 24}) {
            if (block_size > sublayers) continue;
            INFO("L=" << sublayers << " block size " << block_size);
            for (const int size : {0, 1, 2, 5, 8}) {
                INFO("groups of " << size);
                f(DepthSchedule(sublayers, block_size, {size, size}));
                if (block_size > 1) continue;
                f(DepthSchedule(sublayers, 1, {size, size}, newest));
                f(DepthSchedule(sublayers, 1, {size, size}, every_other));
            }
        }
}

std::set<int> sources_of(const DepthSchedule& s, int l) {
    std::set<int> sources;
    for (int i = 0; i < l; ++i)
        if (s.sees(l, i)) sources.insert(i);
    return sources;
}

}  // namespace

TEST_CASE("depth schedule: every read mixes each of its sources once", "[mixers]") {
    for_every_schedule([](const DepthSchedule& s) {
        for (int l = 1; l <= s.sublayers() + 1; ++l) {
            const DepthSchedule::Read& read = s.read(l);
            CHECK((read.first <= l && l <= read.last));
            CHECK(read.last - read.first < DepthSchedule::kMaxGroup);
            std::multiset<int> mixed;  // the mix for l has others of its group at weight 0
            const std::vector<int>& old = s.read(read.first).old;
            for (const int i : old)
                if (s.sees(l, i)) mixed.insert(i);
            CHECK(read.waits == !mixed.empty());
            mixed.insert(read.fresh.begin(), read.fresh.end());
            const std::set<int> want = sources_of(s, l);
            CHECK(std::equal(mixed.begin(), mixed.end(), want.begin(), want.end()));
            for (const int i : old) CHECK(i < read.first);
        }
    });
}

TEST_CASE("depth schedule: who reads what is asked for complete sources, and the newest",
          "[mixers]") {
    const DepthSchedule s(5, 2, {2, 2}, newest);  // sources 0, 2, 4, 5 complete a block
    const std::vector<std::set<int>> want{{0}, {0, 1}, {0, 2}, {0, 2, 3}, {0, 2, 4}, {0, 4, 5}};
    for (int l = 1; l <= 6; ++l) CHECK(sources_of(s, l) == want[static_cast<std::size_t>(l - 1)]);
}

TEST_CASE("depth schedule: every reader of a source is pulled from once, when its D exists",
          "[mixers]") {
    for_every_schedule([](const DepthSchedule& s) {
        std::multiset<std::pair<int, int>> pulled;
        std::set<int> visited;
        for (int i = s.sublayers(); i >= 0; --i) {
            const DepthSchedule::Pull& pull = s.pull(i);
            REQUIRE(!pull.sources.empty());
            CHECK(pull.sources.front() == i);
            CHECK(std::ssize(pull.sources) <= DepthSchedule::kMaxGroup);
            // Readers i+1..last, whose D exist once i+1 has been read backward.
            for (const int source : pull.sources) {
                const bool first = visited.insert(source).second;
                const bool carried = !s.completes_block(source);
                CHECK(pull.adds == (!first || carried));
                for (const int l : pull.readers)
                    if (s.sees(l, source)) pulled.insert({source, l});
                for (const int l : pull.readers) CHECK(l > i);
                // Gradients wait where sources lie that no later pass reads.
                CHECK((s.place(source) < 0 || s.place(source) > i));
            }
        }
        for (int i = 0; i <= s.sublayers(); ++i)
            for (int l = 1; l <= s.sublayers() + 1; ++l)
                CHECK(pulled.count({i, l}) == sources_of(s, l).count(i));
    });
}

TEST_CASE("depth schedule: groups are chosen by the rows they move", "[mixers]") {
    const auto rows = [](const DepthSchedule& s) {
        Index sum = 0;
        for (int l = 1; l <= s.sublayers() + 1; ++l) sum += s.read_rows(l) + s.pull_rows(l - 1);
        return sum;
    };
    for (const int sublayers : {24, 48})
        for (const int block_size : {1, sublayers / 8}) {
            const Index fewest = rows(DepthSchedule(sublayers, block_size));
            for (int reads = 1; reads <= DepthSchedule::kMaxGroup; ++reads)
                for (int pulls = 1; pulls <= DepthSchedule::kMaxGroup; ++pulls)
                    CHECK(fewest <= rows(DepthSchedule(sublayers, block_size, {reads, pulls})));
        }
    // Worked by hand: 3 sublayers, full, groups of 2. Reads: v_0 alone, its mix for l = 2 written;
    // v_1 and the mix; v_0, v_1, v_2 with the mix for l = 4 written; v_3 and the mix.
    const DepthSchedule s(3, 1, {2, 2});
    CHECK(s.read_rows(1) == 2);
    CHECK(s.read_rows(2) == 2);
    CHECK(s.read_rows(3) == 4);
    CHECK(s.read_rows(4) == 2);
    // Pulls: D_4, v_3, dv_3; D_3, D_4, v_2, dv_2; then D_2..D_4 for v_1 and v_0; D_1 for v_0.
    CHECK(s.pull_rows(3) == 3);
    CHECK(s.pull_rows(2) == 4);
    CHECK(s.pull_rows(1) == 3 + 2 * 2);
    CHECK(s.pull_rows(0) == 1 + 2 + 1);
}
