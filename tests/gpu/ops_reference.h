// What the kernels of the ops are held against: the CPU's ops on host memory, in double, or in the
// kernel's own type where the same bits are asked for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace plumb::test {

using Numbers = std::vector<double>;

Numbers normal_numbers(const std::string& name, std::size_t n);

struct ActivationReference {
    Numbers a, dup;
};
ActivationReference activation_reference(bool swiglu, long N, long F, const Numbers& up,
                                         const Numbers& da);

struct DroppedReference {
    std::uint32_t threshold;
    double factor;
    Numbers x;
};
template <class T>
DroppedReference dropout_reference(std::uint64_t seed, std::uint64_t pass, double p, long C,
                                   const Numbers& x);

struct EmbeddingReference {
    Numbers out, dtable;
};
template <class T>
EmbeddingReference embedding_reference(long C, const std::vector<std::int32_t>& ids,
                                       const Numbers& table, const Numbers& dout,
                                       const Numbers& dtable);

Numbers add_partials_reference(long C, const Numbers& partial, const Numbers& out);
double total_dot_reference(const Numbers& a, const Numbers& b);

struct AdamwSettings {
    double lr, beta1, beta2, eps, weight_decay;
    long step;
};
struct AdamwRangeReference {
    long end;
    bool decay, trained;
    double lr_scale;
};
struct AdamwReference {
    Numbers w, m, v;
};
template <class Real>
AdamwReference adamw_reference(const AdamwSettings& s, double grad_scale,
                               const std::vector<AdamwRangeReference>& ranges, const Numbers& w,
                               const Numbers& grad, const Numbers& m, const Numbers& v);

struct CrossEntropyReference {
    Numbers losses, dlogits;
    double scored;
};
CrossEntropyReference cross_entropy_reference(long V, const Numbers& logits,
                                              const std::vector<std::int32_t>& targets,
                                              double scale);

struct ColumnsReference {
    Numbers put, taken;
};
template <class T>
ColumnsReference columns_reference(long P, long first, long Q, const Numbers& part,
                                   const Numbers& whole);
struct LastColumnsReference {
    Numbers to, with_x, dfrom;
    double dscale;
};
LastColumnsReference last_columns_reference(long P, long Q, const Numbers& from, double scale,
                                            const Numbers& to, const Numbers& dto, bool add,
                                            const Numbers& dfrom, double dscale);

struct AttentionCase {
    long batch, context;
    int heads, kv_heads, dim;
    bool gains;
    double dropout;  // p
};
struct AttentionReference {
    Numbers cos, sin, out, lse, dqkv, dgain_q, dgain_k;
    std::uint32_t threshold;
    double factor;
};
// Backward from `out_of(out)`: what a kernel has of it. dgain_q, dgain_k come on top of 1.
AttentionReference attention_reference(const AttentionCase& c, const Numbers& qkv,
                                       const Numbers& gain_q, const Numbers& gain_k, double eps,
                                       const Numbers& dout, Numbers (*out_of)(const Numbers&));
inline constexpr std::uint64_t kDropoutSeed = 0x0123456789abcdefu, kDropoutStream = 77;

struct DecodeReference {
    Numbers cos, sin, keys, values;
    long room;
    std::vector<Numbers> out;  // of each call, (B count, H D); 0 in rows that it did not write
};
// The first `count` of T positions in one call, the others in one each.
DecodeReference decode_reference(const AttentionCase& c, long count, const Numbers& qkv,
                                 const Numbers& gain_q, const Numbers& gain_k, double eps);
// Positions first .. first + now - 1 of every sequence in rows of `count`, others 0.
Numbers decode_rows(const AttentionCase& c, const Numbers& qkv, long first, long now, long count);

struct NormReference {
    Numbers xhat, rstd, x, d, along;  // along (N): <h, D>
};
// Of h (N, C), and of D where xhat and rstd are as given: what a kernel has of them.
NormReference norm_reference(bool raw, long C, double eps, const Numbers& h, const Numbers& gain,
                             const Numbers& xhat, const Numbers& rstd, const Numbers& dx);

struct MuonReference {
    Numbers momentum, x, gram, w;
};
// x: of the look ahead (grad where that did nothing), normalised; w updated by grad.
template <class Real>
MuonReference muon_reference(long R, long C, double mu, double s, const Numbers& grad,
                             const Numbers& momentum, double square, double eps, double a,
                             const Numbers& gram, double keep, double rate, const Numbers& w);

// loss, bad_batch, bad_loss, grad_square, grad_norm, grad_scale of a step.
Numbers step_reference(const Numbers& losses, const Numbers& overflows, double loss_limit,
                       double grad_square, double clip);

}  // namespace plumb::test
