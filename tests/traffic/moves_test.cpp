// What memories say their passes move on a GPU (DepthMixer::moves) against what their kernels do.
#include "bench/mixer_walk.h"
#include "mixers/plain.h"
#include "support/every_mixer.h"
#include "traffic/traffic.h"

using namespace plumb;
using namespace plumb::test;

namespace {

// Channels: far more than the scalars of a token that a memory says it moves.
constexpr Index kTokens = 6, kChannels = 1024;

// Where a memory and its kernels are known to differ: rows a token that are moved beyond those it
// says, in every pass of a direction. Whoever mends one takes its line away.
struct Known {
    const char* mixer;
    bool bf16, backward;
    double rows;
    const char* why;
};
constexpr Known kKnown[] = {
    {"standard", false, true, 1, "dv lies where dh does and is stored there once more"}};

// Memories that say more than is counted here: what du's partial sums move (attnres: rows of C for
// each block of a launch, not for a token), and what matrix products read (mhc, but forward in
// bf16): accesses of ops are not counted. They are held to say no less than their kernels move.
bool says_more(const std::string& mixer, bool bf16, bool backward) {
    return mixer.starts_with("attnres") || (mixer.starts_with("mhc") && (backward || !bf16));
}

double known_rows(const std::string& mixer, bool bf16, bool backward) {
    double rows = 0;
    for (const Known& known : kKnown)
        if (mixer == known.mixer && bf16 == known.bf16 && backward == known.backward)
            rows += known.rows;
    return rows;
}

bool has_axis(const Shape& shape, char name) {
    for (int i = 0; i < shape.rank(); ++i)
        if (shape.name(i) == name) return true;
    return false;
}

// Tensors of a number, or more, a token: rows, or (no channels) scalars. What is a partial sum is
// of the kernel's blocks, and parameters are read once.
std::vector<Watched> tensors_of(const auto& walk) {
    std::vector<Watched> ranges;
    for (const TensorSpec& t : walk.plan().tensors())
        if (has_axis(t.shape, 'N'))
            ranges.push_back({(has_axis(t.shape, 'C') ? "" : "scalars ") + t.name, walk.address(t),
                              walk.address(t) + t.bytes});
    return ranges;
}
bool is_scalars(const std::string& name) { return name.starts_with("scalars "); }

std::string text_of(const std::map<std::string, Bytes>& traffic) {
    std::string text;
    for (const auto& [name, bytes] : traffic)
        if (bytes.read + bytes.written > 0)
            text += fmt::format("  {}: {:.2f} rows read, {:.2f} written\n", name,
                                bytes.read / kTokens / kChannels / 4,
                                bytes.written / kTokens / kChannels / 4);
    return text;
}

// The norm's own: xhat and x written, the gradient of x and xhat read, rstd.
template <class T>
double norm_bytes(int ways) {
    return ways * (2.0 * kChannels * sizeof(T) + sizeof(RealOf<T>));
}

// Bytes a token, said and counted, of what belongs to a read in a direction.
struct Pass {
    double said = 0, rows = 0, scalars = 0;
    std::string what{};
};

template <class T>
void check_moves(const MixerConfig& config, const MixerShape& shape) {
    const Context ctx{Device::cuda, 1};
    MixerPtr<T> mixer = make_mixer<T>(config, shape);
    if (dynamic_cast<const Plain<T>*>(mixer.get())) return;  // nothing is fused there
    MixerWalk<T> walk(std::move(mixer), ctx);
    const std::vector<Watched> ranges = tensors_of(walk);
    std::map<std::pair<bool, int>, Pass> passes;
    walk.run([&](bool backward, int l, auto&& call) {
        Pass& pass = passes[{backward, l}];
        if (pass.said == 0) pass.said = norm_bytes<T>(walk.mixer().ways(l));
        Profile profile;
        gpu::wait();
        watch(ranges);
        call(&profile);
        gpu::wait();
        const auto found = traffic();
        pass.said += profile.mixer_bytes / kTokens;
        for (const auto& [name, bytes] : found)
            (is_scalars(name) ? pass.scalars : pass.rows) += (bytes.read + bytes.written) / kTokens;
        pass.what += text_of(found);
    });
    for (const auto& [place, pass] : passes) {
        INFO((place.first ? "backward at l=" : "forward at l=") << place.second << "\n"
                                                                << pass.what);
        // Rows are to agree; what is said beyond them is of scalars, some of which may be left out.
        const double row = kChannels * sizeof(T),
                     known = known_rows(config.name, sizeof(T) == 2, place.first),
                     beyond = pass.said / row + known - pass.rows / row;
        CHECK(beyond > -0.5);
        if (!says_more(config.name, sizeof(T) == 2, place.first))
            CHECK(beyond < 0.5 + pass.scalars / row);
    }
}

}  // namespace

TEST_CASE("fused passes move the rows that their memory says", "[device][traffic]") {
    for_every_setting([](const MixerConfig& config, const MixerInfo&) {
        const MixerShape shape{4, kTokens, kChannels, 1e-6, Device::cuda};
        try {
            make_rule(config, shape);
        } catch (const UsageError&) {
            return;  // a setting of deeper models
        }
        check_moves<Bf16>(config, shape);
        check_moves<float>(config, shape);
    });
}

TEST_CASE("what is counted of a pass is the rows it moves", "[traffic]") {
    const MixerShape shape{4, kTokens, kChannels, 1e-6, Device::cuda};
    MixerWalk<Bf16> walk(make_mixer<Bf16>(mixer_config("standard"), shape), {Device::cuda, 1});
    std::map<std::string, Bytes> found;
    walk.run([&](bool backward, int l, auto&& call) {
        gpu::wait();
        if (!backward && l == 2) watch(tensors_of(walk));
        call(nullptr);
        gpu::wait();
        if (!backward && l == 2) {
            for (const auto& [name, bytes] : traffic()) {
                found[name].read += bytes.read;
                found[name].written += bytes.written;
            }
        }
    });
    constexpr double kRow = kTokens * kChannels * 2.0;
    CHECK(found["mixer.v"].read == kRow);
    CHECK(found["mixer.h"].read == 2 * kRow);
    CHECK(found["mixer.h"].written == 2 * kRow);
    CHECK(found["xhat.2.0"].written == kRow);
    CHECK(found["x.0"].written == kRow);
    CHECK(found["x.0"].read == 0);
    CHECK(found["scalars rstd.2.0"].written == 4 * kTokens);
}
