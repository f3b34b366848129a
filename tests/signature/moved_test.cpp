// Bytes that every mixer says its passes move.
#include "core/profile.h"
#include "mixers/memories/depth_schedule.h"
#include "signature/golden.h"
#include "signature/settings.h"
#include "support/bf16_stack.h"
#include "support/every_mixer.h"

using namespace plumb;
using namespace plumb::test;

namespace {

struct Moved {
    double forward, backward;  // bytes a token
};

template <class T>
Moved moved(const MixerConfig& config, const MixerShape& shape) {
    Bf16Stack<T> stack(make_mixer<T>(config, shape), true);
    Profile profile;
    const Context ctx{Device::cpu, 1, &profile};
    const auto tokens = static_cast<double>(shape.tokens);
    stack.forward(ctx);
    const double forward = profile.mixer_bytes;
    stack.backward(ctx);
    return {forward / tokens, (profile.mixer_bytes - forward) / tokens};
}

// Rows of C numbers a token, in double: what grows with C.
Moved rows(const MixerConfig& config, int sublayers) {
    const Moved a = moved<double>(config, {sublayers, 8, 64, 1e-6});
    const Moved b = moved<double>(config, {sublayers, 8, 192, 1e-6});
    constexpr double kBytes = 128 * sizeof(double);
    return {(b.forward - a.forward) / kBytes, (b.backward - a.backward) / kBytes};
}

void check_rows(const std::string& name, const std::vector<std::string>& settings, int sublayers,
                const Moved& want) {
    INFO(fmt::format("{} {}", name, fmt::join(settings, " ")));
    const Moved got = rows(mixer_config(name, settings), sublayers);
    CHECK(got.forward == Approx(want.forward).epsilon(1e-12));
    CHECK(got.backward == Approx(want.backward).epsilon(1e-12));
}

}  // namespace

// Counted from what a pass must touch, site by site: rows read and rows written.
TEST_CASE("mixers count every row that they move", "[mixers]") {
    constexpr int kL = 6;
    // v_0 read and h written; then v and h read, h written. dh written; then read and written.
    check_rows("standard", {}, kL, {2 + 3.0 * kL, 1 + 2.0 * kL});
    // Backward also reads v_{l-1} and writes dv_{l-1}; of v_0 only the gradient is wanted.
    for (const char* gate : {"gate=scalar", "gate=static"})
        check_rows("highway", {gate}, kL, {2 + 3.0 * kL, 3 + 4.0 * (kL - 1) + 3});
    // v_0 read, K streams written; then K and v read, K written. Backward reads X, writes dv, and
    // reads and writes dX; the last site has no dX to read and no v to follow.
    for (const int k : {2, 4})
        for (const char* name : {"hyper", "mhc"})
            check_rows(name, {fmt::format("streams={}", k)}, kL,
                       {1.0 + k + kL * (2.0 * k + 1), 2.0 * k + 1 + kL * (3.0 * k + 2)});
}

// Every block's X_k is written once and read by the averages after it as they are grouped; backward
// mirrors that with dY, which is written once, and reads X_j for da.
TEST_CASE("denseformer counts the rows of its schedule", "[mixers]") {
    for (const int blocks : {3, 12}) {
        const DepthSchedule s(blocks, 1, {}, [](int l, int i) { return i < l - 1; });
        Moved want{2 + 6.0 * blocks + blocks, 1 + 4.0 * blocks + blocks};
        for (int k = 0; k <= blocks; ++k) {  // X_k itself stays in the stream, dX_k too
            want.forward += static_cast<double>(s.read_rows(k + 1) - 1);
            want.backward += static_cast<double>(s.pull_rows(k) - 1);
        }
        check_rows("denseformer", {}, 2 * blocks, want);
    }
    // 24 blocks, both ways: 329 rows beside the stream, where one by one takes 673.
    const auto rows = [](DepthSchedule::Sizes sizes) {
        const DepthSchedule s(24, 1, sizes, [](int l, int i) { return i < l - 1; });
        Index sum = 2 * 24;
        for (int k = 0; k <= 24; ++k) sum += s.read_rows(k + 1) - 1 + s.pull_rows(k) - 1;
        return sum;
    };
    CHECK(rows({}) == 329);
    CHECK(rows({1, 1}) == 673);
}

TEST_CASE("attnres counts the rows of its schedule", "[mixers]") {
    for (const int sublayers : {3, 10})
        for (const int block : {1, 2, sublayers}) {
            const DepthSchedule s(sublayers, block);
            Moved want{0, 0};
            for (int l = 1; l <= sublayers + 1; ++l) {
                want.forward += static_cast<double>(s.read_rows(l));
                // Partial sums of du, read and written once a chunk of tokens.
                const auto readers = static_cast<double>(s.pull(l - 1).readers.size());
                want.backward +=
                    static_cast<double>(s.pull_rows(l - 1)) + 2 * readers / kTokenChunk;
            }
            check_rows("attnres_block", {fmt::format("block_size={}", block)}, sublayers, want);
        }
}

TEST_CASE("signature: bytes moved by every mixer", "[signature]") {
    Golden golden;
    const MixerShape shape{6, kTokenChunk, 64, 1e-6};
    for (const SignatureCase& c : mixer_cases()) {
        const Moved f = moved<float>(c.mixer, shape), b = moved<Bf16>(c.mixer, shape);
        golden.add(c.name, {f.forward, f.backward, b.forward, b.backward});
    }
    golden.check("bytes moved a token: float forward, backward, bf16 forward, backward", 0);
}
