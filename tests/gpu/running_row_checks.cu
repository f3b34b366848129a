#include "gpu/kernel_checks.h"
#include "mixers/memories/running_row.cuh"

namespace plumb::test {
namespace {

using namespace plumb::gpu;

template <class T>
Compared walk_standard(const RowShape& s) {
    using Real = RealOf<T>;
    const Walk ref = walk_reference("standard", {}, s.L, s.N, s.C, 7, sizeof(T) == 2);
    const auto rows = static_cast<std::size_t>(s.N) * static_cast<std::size_t>(s.C);
    const auto at = [&](int l) { return static_cast<std::size_t>(l - 1) * rows; };
    const auto sites = static_cast<std::size_t>(s.L + 1);
    Buffer<T> v(rows), xhat(sites * rows), x(rows), dx(rows), dv(rows);
    Buffer<Real> h(rows), dh(rows), gain(ref.gain), rstd(sites * static_cast<std::size_t>(s.N));
    const int W = warps_for(s.C, s.C % 8 ? 1 : s.V);
    const auto norm = [&](int l) {
        return NormArgs<T>{
            xhat.at(at(l)), rstd.at(static_cast<std::size_t>((l - 1) * s.N)), gain, x, dx,
            Real(ref.eps)};
    };
    Compared out;
    with_runs(s, [&](auto V, auto whole) {
        const auto read = running_read<T, V.value, whole.value>;
        const auto back = running_read_backward<T, V.value, whole.value, true>;
        for (int l = 1; l <= s.L + 1; ++l) {
            v.put(ref.v[static_cast<std::size_t>(l - 1)]);
            launch(stream(), "running_read", read, resident_grid(read, s.N, W), s.N, s.C, W, l == 1,
                   v.at(), h.at(), norm(l));
            out.add("xhat", xhat.get(at(l), rows), ref.xhat[static_cast<std::size_t>(l)]);
        }
        for (int l = s.L + 1; l >= 1; --l) {
            dx.put(ref.dx[static_cast<std::size_t>(l)]);
            const Grid grid = resident_grid(back, s.N, W);
            Buffer<Real> dgain(grid.blocks * static_cast<std::size_t>(s.C));
            launch(stream(), "running_read_backward", back, grid, s.N, s.C, W, l == s.L + 1,
                   dh.at(), dv.at(), dgain.at(), norm(l));
            out.add("dv", dv.get(), ref.dv[static_cast<std::size_t>(l - 1)]);
            out.add("dgain", column_sums(dgain.get(), s.C), ref.dgain[static_cast<std::size_t>(l)]);
        }
    });
    return out;
}

}  // namespace

void check_running_row(Report& report) {
    for (const RowShape& s : kShapes) {
        check_runs<double>(report, "standard", s, walk_standard<double>);
        check_runs<float>(report, "standard", s, walk_standard<float>);
        check_runs<Bf16>(report, "standard", s, walk_standard<Bf16>);
    }
}

}  // namespace plumb::test
