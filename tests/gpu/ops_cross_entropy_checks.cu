#include "gpu/ops_checks.h"
#include "ops/cross_entropy.cuh"

#include <cmath>

namespace plumb::test {
namespace {

using namespace plumb::gpu;

// Roundings of one row: e^x is off by those of x, twice |x| and four, the sum by the mean of that,
// by its additions and by what its maxima on the way cost.
template <class T>
void allow(const double* z, long V, int target, double share, double* loss, double* dz) {
    using Real = RealOf<T>;
    const double u = Rounding<Real>::unit, own = Rounding<T>::unit;
    double max = z[0], sum = 0, mean = 0,
           far = 0;  // far: the widest way from one maximum to another
    for (long i = 0; i < V; ++i) max = std::max(max, z[i]);
    for (long i = 0; i < V; ++i) {
        if (z[i] == -INFINITY) continue;
        const double e = std::exp(z[i] - max);
        sum += e;
        mean += e * (2 * (max - z[i]) + 4);
        far = std::max(far, max - z[i]);
    }
    const double trips = static_cast<double>(V) / 32 + 1,  // at most, of a thread
        of_sum = mean / sum + 2 * far + 6 * trips + 40;
    *loss = u * (of_sum + 2 * std::abs(max) + 3 * std::abs(std::log(sum)) +
                 2 * std::abs(z[target]) + 2);
    for (long i = 0; i < V; ++i) {
        const double p = std::exp(z[i] - max) / sum,
                     off = z[i] == -INFINITY ? 0 : 2 * (max - z[i]) + 8 + of_sum;
        const double want = std::abs(p - (i == target));
        dz[i] = share * ((u * off + own) * p + (i == target ? (4 * u + own) * want : 0)) + 1e-40;
    }
}

template <class T>
void check_rows(Report& report, const std::string& name, long N, long V, const Numbers& logits,
                const std::vector<std::int32_t>& targets) {
    using Real = RealOf<T>;
    const auto rows = static_cast<std::size_t>(N), size = static_cast<std::size_t>(N * V);
    const double scale = 0.25;
    const CrossEntropyReference want = cross_entropy_reference(V, logits, targets, scale);
    Numbers loss(rows, 0.0), dz(size, 0.0);
    for (std::size_t n = 0; n < rows; ++n)
        if (targets[n] >= 0)
            allow<T>(&logits[n * static_cast<std::size_t>(V)], V, targets[n], scale / want.scored,
                     &loss[n], &dz[n * static_cast<std::size_t>(V)]);
    check_op(report, op_name<T>(name, N, V), [&] {
        const Buffer<Real> z(logits), losses(rows), again(rows);
        const Buffer<T> apart(size);
        Buffer<std::int32_t> to(rows);
        to.put_raw(targets);
        const Buffer<double> scored(1), mean(1);
        gpu::n_scored(stream(), N, to, scored);
        gpu::cross_entropy<Real>(stream(), N, V, z, to, losses);
        T* dlogits = apart;
        if constexpr (sizeof(T) == sizeof(Real)) dlogits = z;
        gpu::cross_entropy_gradient<T>(stream(), N, V, z, to, again, Real(scale), scored, dlogits);
        gpu::mean_loss<Real>(stream(), N, losses, scored, mean);
        Outputs o;
        o.add_exact("scored", scored.get(), {want.scored});
        o.add("loss", losses.get(), want.losses, loss);
        o.add("loss with gradient", again.get(), want.losses, loss);
        if constexpr (sizeof(T) == sizeof(Real)) {
            o.add("dlogits", z.get(), want.dlogits, dz);
        } else {
            o.add("dlogits", apart.get(), want.dlogits, dz);
        }
        double all = 0;
        for (const double x : losses.get()) all += x / want.scored;
        o.add("mean", mean.get(), {want.scored > 0 ? all : 0.0},
              {std::abs(all) * 2 * static_cast<double>(N + 1) * Rounding<double>::unit});
        return o;
    });
}

}  // namespace

void check_cross_entropy(Report& report) {
    constexpr OpShape more[] = {{5, 65}, {3, 4104}, {2, 5003}};
    for_types([&](auto t) {
        using T = decltype(t);
        using Real = RealOf<T>;
        const auto check_shape = [&](long N, long V) {
            const Numbers z = drawn<Real>("z", static_cast<std::size_t>(N * V), 4);
            std::vector<std::int32_t> targets;
            for (long n = 0; n < N; ++n)
                targets.push_back(n == 1 ? -1 : static_cast<int>((n * 37 + V - 1) % V));
            check_rows<T>(report, "cross_entropy", N, V, z, targets);
        };
        for (const auto& [N, V] : kOpShapes) check_shape(N, V);
        for (const auto& [N, V] : more) check_shape(N, V);
        for (const long V : {40L, 41L}) {  // each kind of run
            Numbers z = drawn<Real>("far", static_cast<std::size_t>(4 * V), 1);
            const auto at = [&](int n, int i) -> double& {
                return z[static_cast<std::size_t>(n * V + i)];
            };
            at(0, 7) = NAN, at(1, 3) = INFINITY, at(2, 0) = -INFINITY, at(3, 5) = 1000;
            for (int i = 0; i < V; ++i)
                at(2, i) = static_cast<double>(static_cast<Real>(at(2, i) - 2000));
            check_rows<T>(report, "cross_entropy, NaN, far out", 4, V, z, {1, 2, 3, 5});
            check_rows<T>(report, "cross_entropy, none scored", 1, V,
                          drawn<Real>("z", static_cast<std::size_t>(V)), {-1});
        }
    });
}

}  // namespace plumb::test
