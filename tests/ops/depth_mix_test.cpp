#include "ops/depth_mix.h"

#include "catch.h"
#include "support/random.h"

using namespace plumb;
using namespace plumb::test;

TEST_CASE("depth_mix at the edges of its channel tiles", "[ops]") {
    for (const Index c : {1, 7, 63, 64, 65, 130})
        for (const Index n_sources : {1, 2, 3, 9}) {
            const Index n = kTokenChunk + 1, stride = n_sources + 2;
            std::vector<Array<double>> sources;
            std::vector<const double*> data;
            for (Index s = 0; s < n_sources; ++s)
                sources.emplace_back(Shape{{'N', n}, {'C', c}}, fmt::format("v{}", s));
            for (Array<double>& s : sources) data.push_back(s.values().data());
            Array<double> w({{'N', n}, {'S', stride}}, "w"), out({{'N', n}, {'C', c}}, 9.0);
            for (const bool shared : {false, true}) {
                depth_mix<double>({}, data, {w.values().data(), shared ? 0 : stride}, out);
                double error = 0;
                for (Index i = 0; i < n; ++i)
                    for (Index k = 0; k < c; ++k) {
                        double sum = 0;
                        for (Index s = 0; s < n_sources; ++s)
                            sum += w.row(shared ? 0 : i)[s] *
                                   sources[static_cast<std::size_t>(s)].row(i)[k];
                        error = worse(error, std::abs(out.row(i)[k] - sum));
                    }
                INFO("C=" << c << " S=" << n_sources);
                CHECK(error <= 1e-14);
            }
        }
}
