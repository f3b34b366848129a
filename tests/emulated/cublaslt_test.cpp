// What the emulated cuBLASLt refuses; that it computes what it should is in tests/device.
#include "catch.h"
#include "emulated/planted.h"

#include <cublasLt.h>

#include <cmath>

namespace plumb::test {
namespace {

// D (5, 3) = A^T B + D with A (7, 5) and B (7, 3), float: everything right until a test says
// otherwise.
struct Call {
    struct Matrix {
        cudaDataType type;
        std::uint64_t rows, cols;
        std::int64_t ld;
        void* data;
    };

    Call() {
        a = {CUDA_R_32F, 7, 5, 8, of_a.at()}, b = {CUDA_R_32F, 7, 3, 7, of_b.at()};
        c = d = {CUDA_R_32F, 5, 3, 8, of_d.at()};
    }

    ~Call() { cublasLtDestroy(handle); }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    // The status of choosing an algorithm, or else of the product.
    cublasStatus_t run() {
        cublasLtMatmulDesc_t desc = nullptr;
        cublasLtMatmulDescCreate(&desc, compute, scale);
        cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &op_a, sizeof op_a);
        cublasLtMatmulPreference_t preference = nullptr;
        cublasLtMatmulPreferenceCreate(&preference);
        set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{1024});
        set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reduction);
        for (int i = 0; i < 4; ++i)
            set(preference,
                static_cast<cublasLtMatmulPreferenceAttributes_t>(
                    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES + i),
                std::uint32_t{16});
        cublasLtMatrixLayout_t layouts[4];
        const Matrix all[] = {a, b, c, d};
        for (int i = 0; i < 4; ++i)
            cublasLtMatrixLayoutCreate(&layouts[i], all[i].type, all[i].rows, all[i].cols,
                                       all[i].ld);
        const auto [la, lb, lc, ld] = layouts;
        cublasLtMatmulHeuristicResult_t best{};
        int found = 0;
        cublasStatus_t s = cublasLtMatmulAlgoGetHeuristic(handle, desc, la, lb, lc, ld, preference,
                                                          1, &best, &found);
        if (forget_algorithm) best.algo = {};
        if (s == CUBLAS_STATUS_SUCCESS)
            s = cublasLtMatmul(handle, desc, alpha, a.data, la, b.data, lb, beta, c.data, lc,
                               d.data, ld, &best.algo, workspace, workspace_bytes, at);
        for (const auto layout : layouts) cublasLtMatrixLayoutDestroy(layout);
        cublasLtMatmulPreferenceDestroy(preference), cublasLtMatmulDescDestroy(desc);
        return s;
    }
    template <class T>
    static void set(cublasLtMatmulPreference_t p, cublasLtMatmulPreferenceAttributes_t what,
                    T value) {
        CHECK(cublasLtMatmulPreferenceSetAttribute(p, what, &value, sizeof value) ==
              CUBLAS_STATUS_SUCCESS);
    }

    const float one = 1;
    Buffer<float> of_a{ones(8 * 5)}, of_b{ones(7 * 3)}, of_d{ones(8 * 3)}, work{ones(1024)};
    cublasLtHandle_t handle = [] {
        cublasLtHandle_t made = nullptr;
        cublasLtCreate(&made);
        return made;
    }();
    cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
    cudaDataType scale = CUDA_R_32F;
    std::int32_t op_a = CUBLAS_OP_T;
    std::uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    bool forget_algorithm = false;
    Matrix a, b, c, d;
    const void *alpha = &one, *beta = &one;
    void* workspace = work.at();
    std::size_t workspace_bytes = 1024;
    cudaStream_t at = stream();
};

// What is said of a call that f spoils; "not supported" where nothing is.
template <class F>
std::string refusal(F&& f) {
    Call call;
    f(call);
    const cublasStatus_t s = call.run();
    CHECK(s != CUBLAS_STATUS_SUCCESS);
    const std::string text = emulated::take_error();
    return s == CUBLAS_STATUS_NOT_SUPPORTED && text.empty() ? "not supported" : text;
}

}  // namespace

TEST_CASE("emulated cuBLASLt: a product that is right", "[emulated]") {
    Call call;
    CHECK(call.run() == CUBLAS_STATUS_SUCCESS);
    const std::vector<double> d = call.of_d.get();
    for (std::size_t i = 0; i < d.size(); ++i) CHECK(d[i] == (i % 8 < 5 ? 8 : 1));
    for (const double x : call.work.get(0, 8)) CHECK(std::isnan(x));  // nobody counts on it
    CHECK(emulated::take_error() == "");
}

TEST_CASE("emulated cuBLASLt: a product waits in its stream", "[emulated]") {
    Call call;
    const float before[] = {3};
    check(cudaMemcpyAsync(call.of_b.at(), before, 4, cudaMemcpyHostToDevice, stream()), "copy");
    CHECK(call.run() == CUBLAS_STATUS_SUCCESS);
    check(cudaMemsetAsync(call.of_a.at(), 0, 4, stream()), "fill");
    CHECK(call.of_d.get(0, 1)[0] == 10);  // 3 + 6 ones + what was there
}

TEST_CASE("emulated cuBLASLt: two products at once want a workspace each", "[emulated]") {
    cudaStream_t other = nullptr;
    check(cudaStreamCreate(&other), "stream");
    const std::uint64_t before = emulated::order();
    for (const bool share : {true, false}) {
        int wrong = 0;
        for (std::uint64_t order = 1; order <= 12; ++order) {
            emulated::set_order(order);
            Call a, b;
            b.at = other;
            if (share) b.workspace = a.workspace;
            wrong +=
                error_of([&] { a.run(), b.run(); }).find("in one workspace") != std::string::npos;
        }
        CHECK((wrong > 0) == share);
    }
    emulated::set_order(before);
    check(cudaStreamDestroy(other), "stream");
}

TEST_CASE("emulated cuBLASLt: which types it multiplies", "[emulated]") {
    const auto status = [](cudaDataType in, cudaDataType out, cublasComputeType_t compute,
                           cudaDataType scale) {
        Call call;
        const double wide_one = 1;
        call.alpha = call.beta = scale == CUDA_R_64F ? static_cast<const void*>(&wide_one)
                                                     : static_cast<const void*>(&call.one);
        const Buffer<double> a(100), b(100), d(100);
        call.a.type = call.b.type = in, call.c.type = call.d.type = out;
        call.a.data = a.at(), call.b.data = b.at(), call.c.data = call.d.data = d.at();
        call.compute = compute, call.scale = scale;
        const cublasStatus_t s = call.run();
        CHECK(cudaStreamSynchronize(stream()) == cudaSuccess);
        return s;
    };
    constexpr auto bf16 = CUDA_R_16BF, f32 = CUDA_R_32F, f64 = CUDA_R_64F;
    constexpr auto tf32 = CUBLAS_COMPUTE_32F_FAST_TF32;
    constexpr auto yes = CUBLAS_STATUS_SUCCESS, no = CUBLAS_STATUS_NOT_SUPPORTED;
    CHECK(status(bf16, bf16, CUBLAS_COMPUTE_32F, f32) == yes);
    CHECK(status(bf16, f32, CUBLAS_COMPUTE_32F, f32) == yes);
    CHECK(status(f32, f32, CUBLAS_COMPUTE_32F, f32) == yes);
    CHECK(status(f32, f32, tf32, f32) == yes);
    CHECK(status(f64, f64, CUBLAS_COMPUTE_64F, f64) == yes);
    CHECK(status(bf16, bf16, tf32, f32) == no);
    CHECK(status(bf16, f64, CUBLAS_COMPUTE_32F, f32) == no);
    CHECK(status(f32, bf16, CUBLAS_COMPUTE_32F, f32) == no);
    CHECK(status(f32, f32, CUBLAS_COMPUTE_64F, f64) == no);
    CHECK(status(f64, f64, CUBLAS_COMPUTE_32F, f32) == no);
    CHECK(status(f32, f32, CUBLAS_COMPUTE_32F, f64) == no);
}

TEST_CASE("emulated cuBLASLt: what the library would not notice", "[emulated]") {
    float host[64] = {};
    const Buffer<float> other(64);
    const auto check_refused = [](auto&& f, const std::string& why) {
        CHECK_THAT(refusal(f), contains_text(why));
    };
    check_refused([](Call& c) { c.a.ld = 6; }, "ld less than its rows: float (7, 5), ld 6");
    check_refused([](Call& c) { c.op_a = CUBLAS_OP_N; }, "sizes do not fit");
    check_refused([](Call& c) { c.b.rows = 6; }, "sizes do not fit");
    check_refused([](Call& c) { c.op_a = 7; }, "neither N nor T");
    check_refused([](Call& c) { c.b.type = CUDA_R_16BF; }, "not supported");
    check_refused([&](Call& c) { c.a.data = host; }, "A, float (7, 5), ld 8, is not within");
    check_refused([](Call& c) { c.a.data = c.of_a.at(4); }, "A, float (7, 5), ld 8, is not within");
    check_refused([](Call& c) { c.b.cols = c.c.cols = c.d.cols = 4; }, "B, float (7, 4)");
    check_refused([](Call& c) { c.d.data = c.c.data = c.of_d.at(4); }, "is not within");
    check_refused([&](Call& c) { c.b.data = other.at(3); },
                  "B, float (7, 3), ld 7, is not aligned");
    check_refused([](Call& c) { c.d.data = c.c.data = c.of_a.at(); },
                  "A, float (7, 5), ld 8, over");
    check_refused([](Call& c) { c.c.ld = 7; }, "C, float (5, 3), ld 7, overlaps D");
    check_refused([](Call& c) { c.alpha = c.of_a.at(); }, "alpha and beta");
    check_refused([](Call& c) { c.forget_algorithm = true; }, "no algorithm");
    check_refused([](Call& c) { c.workspace_bytes = 512; }, "the workspace is not device memory");
    check_refused([&](Call& c) { c.workspace = host; }, "the workspace is not device memory");
    check_refused([](Call& c) { c.workspace = c.work.at(4); }, "not aligned to 256 bytes");
    check_refused([](Call& c) { c.at = nullptr; }, "the default stream");
}

TEST_CASE("emulated cuBLASLt: C is read where beta is not 0, and nowhere else", "[emulated]") {
    const float zero = 0;
    Call call;
    call.beta = &zero, call.c.data = nullptr;
    CHECK(call.run() == CUBLAS_STATUS_SUCCESS);
    CHECK(call.of_d.get(0, 1)[0] == 7);
    const Buffer<float> c(std::vector<double>(24, 5.0));
    call.beta = &call.one, call.c.data = c.at();
    CHECK(call.run() == CUBLAS_STATUS_SUCCESS);
    CHECK(call.of_d.get(0, 1)[0] == 12);
}

TEST_CASE("emulated cuBLASLt: parts of a sum in the type of D, where they are allowed",
          "[emulated]") {
    const auto sum = [](std::uint32_t reduction) {
        Call call;
        const Buffer<Bf16> a(ones(40)), b(ones(21)), d(ones(24));
        call.a.type = call.b.type = call.c.type = call.d.type = CUDA_R_16BF;
        call.a.data = a.at(), call.b.data = b.at(), call.c.data = call.d.data = d.at();
        Buffer<Bf16>& to = const_cast<Buffer<Bf16>&>(a);
        to.put({256, 1, 0, 0, 1, 0, 0});  // 256 + 1 is no bf16; 256 + 2 is
        call.reduction = reduction;
        const float zero = 0;
        call.beta = &zero;
        CHECK(call.run() == CUBLAS_STATUS_SUCCESS);
        return d.get(0, 1)[0];
    };
    CHECK(sum(CUBLASLT_REDUCTION_SCHEME_NONE) == 258);
    CHECK(sum(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE) == 258);
    CHECK(sum(CUBLASLT_REDUCTION_SCHEME_MASK) == 256);
}

}  // namespace plumb::test
