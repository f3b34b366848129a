// What the checks of the memories' kernels share: types and their bounds, shapes, and that further
// runs give the same bits.
#pragma once

#include "core/token_grid.h"
#include "gpu/device_buffer.h"
#include "gpu/report.h"
#include "gpu/walk_reference.h"
#ifndef __CUDACC__
#include "support/thread_orders.h"
#endif

#include <cstring>
#include <map>
#include <string>
#include <type_traits>

namespace plumb::test {

inline std::size_t size(long n) { return static_cast<std::size_t>(n); }

template <class T>
struct TypeName;
template <>
struct TypeName<float> {
    static constexpr const char* name = "float";
    static constexpr double bound = 2e-6;
};
template <>
struct TypeName<double> {
    static constexpr const char* name = "double";
    static constexpr double bound = 1e-13;
};
template <>
struct TypeName<Bf16> {  // rows are rounded two or three times on their way, by 2^-9 each
    static constexpr const char* name = "bf16";
    static constexpr double bound = 6e-3;
};

struct RowShape {
    int L, N, C, V;  // V runs a thread
};
// C around a run, a warp's 256, the 1024 of four runs, and where one warp a token ends; N one, few,
// and more than one trip of a small grid.
inline constexpr RowShape kShapes[] = {{3, 1, 7, 1},    {4, 9, 64, 1},   {4, 5, 248, 1},
                                       {5, 33, 256, 1}, {4, 3, 264, 1},  {4, 5, 264, 2},
                                       {3, 9, 1024, 4}, {3, 3, 1032, 2}, {4, 700, 96, 1}};

template <class F>
void with_runs(const RowShape& s, F&& f) {  // f(V, whole)
    using std::integral_constant;
    if (s.C % 8 != 0) return f(integral_constant<int, 1>{}, std::false_type{});
    if (s.V == 1) return f(integral_constant<int, 1>{}, std::true_type{});
    if (s.V == 2) return f(integral_constant<int, 2>{}, std::true_type{});
    f(integral_constant<int, 4>{}, std::true_type{});
}

// Numbers a walk of the kernels leaves, by kind: got and wanted, one behind the other.
class Compared {
public:
    void add(const std::string& kind, const std::vector<double>& got,
             const std::vector<double>& want) {
        auto& [a, b] = all_[kind];
        a.insert(a.end(), got.begin(), got.end());
        b.insert(b.end(), want.begin(), want.end());
    }
    bool operator==(const Compared& other) const {  // what was got, bit for bit
        for (const auto& [kind, both] : all_) {
            const auto found = other.all_.find(kind);
            if (found == other.all_.end() || found->second.first.size() != both.first.size())
                return false;
            if (std::memcmp(found->second.first.data(), both.first.data(),
                            both.first.size() * sizeof(double)) != 0)
                return false;
        }
        return true;
    }
    // Relative error of the worst kind. Gradients of coefficients that all tokens share are sums
    // which cancel: they keep a fifth of the precision of rows.
    double worst(std::string& where) const {
        double worst = 0;
        for (const auto& [kind, both] : all_) {
            const bool cancels = kind == "dalpha" || kind == "dbeta";
            const double e = relative_error(both.first, both.second) / (cancels ? 5 : 1);
            if (!(e <= worst)) worst = e, where = kind;
            if (worst != worst) break;
        }
        return worst;
    }

private:
    std::map<std::string, std::pair<std::vector<double>, std::vector<double>>> all_;
};

// On the emulated device each run has an order of threads, blocks and streams of its own.
#ifdef __CUDACC__
inline constexpr int kRuns = 2;
inline void begin_run(int) {}
#else
inline const int kRuns = static_cast<int>(thread_orders().size());
inline void begin_run(int run) { set_thread_order(thread_orders()[static_cast<unsigned>(run)]); }
#endif

// f(shape) -> Compared, several times.
template <class T, class F>
void check_runs(Report& report, const std::string& name, const RowShape& s, F&& f) {
    begin_run(0);
    const Compared first = f(s);
    std::string where;
    const double error = first.worst(where);
    const std::string shape = name + ", " + TypeName<T>::name + " N=" + std::to_string(s.N) +
                              " C=" + std::to_string(s.C) + " V=" + std::to_string(s.V);
    report.add(Check{shape + (where.empty() ? "" : ": " + where), error, TypeName<T>::bound});
    for (int run = 1; run < kRuns; ++run) {
        begin_run(run);
        if (!(first == f(s))) report.add(Check{shape + ": the same bits in every run", 1, 0});
    }
}

// Sums of the rows that the blocks left.
inline std::vector<double> column_sums(const std::vector<double>& part, int C) {
    std::vector<double> sum(static_cast<std::size_t>(C), 0.0);
    for (std::size_t i = 0; i < part.size(); ++i) sum[i % sum.size()] += part[i];
    return sum;
}

}  // namespace plumb::test
