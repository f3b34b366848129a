// What the checks of the ops' kernels share: numbers to compute with, outputs held against the
// CPU's op number by number, and that a second run gives the same bits.
//
// Each number has an allowance of its own: so many roundings of the numbers it was made from,
// derived where it is given. 0: the CPU's bits.
#pragma once

#include "gpu/device_buffer.h"
#include "gpu/kernel_checks.h"
#include "gpu/ops_reference.h"
#include "gpu/report.h"

#include <cstring>
#include <map>
#include <string>

namespace plumb::test {

template <class T>
struct Rounding;  // half the distance of neighbours, relative
template <>
struct Rounding<float> {
    static constexpr const char* name = "float";
    static constexpr double unit = 0x1p-24;
};
template <>
struct Rounding<double> {
    static constexpr const char* name = "double";
    static constexpr double unit = 0x1p-53;
};
template <>
struct Rounding<Bf16> {
    static constexpr const char* name = "bf16";
    static constexpr double unit = 0x1p-8;
};

// n normal numbers times `size`, as T has them; others for another name.
template <class T>
Numbers drawn(const std::string& name, std::size_t n, double size = 1) {
    Numbers x = normal_numbers(name, n);
    for (double& v : x)
        v = static_cast<double>(static_cast<RealOf<T>>(T(static_cast<RealOf<T>>(size * v))));
    return x;
}

// What an op left, by kind.
class Outputs {
public:
    void add(const std::string& kind, const Numbers& got, const Numbers& want,
             const Numbers& allowed) {
        all_[kind] = {got, want, allowed, false};
    }
    // Sums that cancel: the error of all numbers against the size of all.
    void add_whole(const std::string& kind, const Numbers& got, const Numbers& want,
                   double allowed) {
        all_[kind] = {got, want, {allowed}, true};
    }
    void add_exact(const std::string& kind, const Numbers& got, const Numbers& want) {
        add(kind, got, want, Numbers(want.size(), 0.0));
    }
    // Largest error as a share of what is allowed; NaN where a NaN is missing or too many.
    double worst(std::string& where) const {
        double worst = 0;
        for (const auto& [kind, o] : all_) {
            const double e = worst_of(o);
            if (!(e <= worst)) worst = e, where = ": " + kind;
            if (worst != worst) break;
        }
        return worst;
    }
    bool same_bits(const Outputs& other) const {
        return std::equal(all_.begin(), all_.end(), other.all_.begin(), other.all_.end(),
                          [](const auto& a, const auto& b) {
                              const Numbers &x = a.second.got, &y = b.second.got;
                              return a.first == b.first && x.size() == y.size() &&
                                     std::memcmp(x.data(), y.data(), x.size() * sizeof x[0]) == 0;
                          });
    }

private:
    struct One {
        Numbers got, want, allowed;
        bool whole = false;
    };
    static double worst_of(const One& o) {
        if (o.whole) return relative_error(o.got, o.want) / o.allowed[0];
        if (o.got.size() != o.want.size() || o.got.size() != o.allowed.size()) return NAN;
        double worst = 0;
        for (std::size_t i = 0; i < o.got.size(); ++i) {
            const double a = o.got[i], b = o.want[i];
            if (a == b || (a != a && b != b)) continue;
            const double e = std::abs(a - b) / o.allowed[i];
            if (!(e <= worst)) worst = e;
            if (worst != worst) break;
        }
        return worst;
    }
    std::map<std::string, One> all_;
};

// f() -> Outputs, several times.
template <class F>
void check_op(Report& report, const std::string& name, F&& f) {
    begin_run(0);
    const Outputs first = f();
    std::string where;
    const double share = first.worst(where);
    report.add(Check{name + where, share, 1});
    for (int run = 1; run < kRuns; ++run) {
        begin_run(run);
        if (!first.same_bits(f())) report.add(Check{name + ": the same bits in every run", 1, 0});
    }
}

// "swiglu, bf16 N=3 C=7"
template <class T>
std::string op_name(const std::string& op, long N, long C) {
    return op + ", " + Rounding<T>::name + " N=" + std::to_string(N) + " C=" + std::to_string(C);
}

struct OpShape {
    long N, C;
};
// C around a run, a warp's 256 and four of them; N one and a few.
inline constexpr OpShape kOpShapes[] = {{1, 7},   {3, 8},    {5, 64}, {65, 248}, {3, 256},
                                        {5, 264}, {3, 1032}, {65, 7}, {1, 1}};

template <class F>
void for_types(F&& f) {  // f(T{})
    f(double{});
    f(float{});
    f(Bf16{});
}

// The parts of check_ops.
void check_activation(Report& report);
void check_dropout(Report& report);
void check_embedding(Report& report);
void check_reduce(Report& report);
void check_step_scalars(Report& report);
void check_adamw(Report& report);
void check_cross_entropy(Report& report);
void check_columns(Report& report);
void check_attention(Report& report);
void check_muon(Report& report);
void check_norm(Report& report);
void check_decode(Report& report);

}  // namespace plumb::test
