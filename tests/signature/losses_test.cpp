// Losses of 20 training steps.
#include "catch.h"
#include "check/compare.h"
#include "signature/golden.h"
#include "signature/settings.h"

using namespace plumb;
using namespace plumb::test;

namespace {

std::vector<SignatureCase> all_cases() {
    std::vector<SignatureCase> cases = mixer_cases();
    for (SignatureCase& c : other_cases()) cases.push_back(std::move(c));
    return cases;
}

// Nats. Rounding alone moves a loss, through 20 steps, by 6e-6 in float (hyper; others 6e-7) and by
// 7e-3 in bf16 at most, with oneDNN's products in AVX-512 (and no more in AVX2 or SSE4.1, by its
// ONEDNN_MAX_CPU_ISA: 4e-6 and 7e-3). The bounds are three, and two, times that: room for what
// rounds otherwise. Eigen's products and a build for another processor are not measured.
constexpr double kFloatBound = 2e-5, kBf16Bound = 1.5e-2;

// The largest distance of the trainer's losses from those written down.
double distance(SignatureCase c, const std::string& precision) {
    c.train.precision = precision;
    const std::vector<double> want = golden_numbers("losses", c.name), got = losses_of_trainer(c);
    REQUIRE(got.size() == want.size());
    double worst = 0;
    for (std::size_t i = 0; i < want.size(); ++i) worst = worse(worst, std::abs(got[i] - want[i]));
    return worst;
}

}  // namespace

TEST_CASE("signature: losses of 20 steps in double", "[signature]") {
    Golden golden;
    for (const SignatureCase& c : all_cases()) golden.add(c.name, losses_in_double(c));
    golden.check("losses", 1e-10);
}

TEST_CASE("signature: losses of 20 steps in float and bf16", "[signature]") {
    for (const SignatureCase& c : all_cases()) {
        INFO(c.name);
        const double f = distance(c, "fp32"), b = distance(c, "bf16");
        CHECK(f <= kFloatBound);
        CHECK(b <= kBf16Bound);
    }
}
