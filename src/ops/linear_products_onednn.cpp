#include "ops/linear_products.h"

#ifdef PLUMB_HAVE_ONEDNN

#include "ops/linear_panels.h"
#include "ops/slices.h"

#include <oneapi/dnnl/dnnl.hpp>

#include <array>
#include <cstring>
#include <vector>

namespace plumb {
namespace {

using dnnl::memory;
using Type = memory::data_type;

const dnnl::engine& engine() {
    static const dnnl::engine e(dnnl::engine::kind::cpu, 0);
    return e;
}

// oneDNN 2.x and 3.x differ in how a product is described and in the C type of a description.
dnnl::matmul::primitive_desc describe(const memory::desc& a, const memory::desc& b,
                                      const memory::desc& c, const dnnl::primitive_attr& attr) {
#if DNNL_VERSION_MAJOR >= 3
    return {engine(), a, b, c, attr};
#else
    return {dnnl::matmul::desc(a, b, c), attr, engine()};
#endif
}
#if DNNL_VERSION_MAJOR >= 3
const_dnnl_memory_desc_t c_desc(const memory::desc& d) { return d.get(); }
#else
const dnnl_memory_desc_t* c_desc(const memory::desc& d) { return &d.data; }
#endif

// Somebody's numbers as oneDNN's memory, through the C interface: the C++ one allocates here.
class Memory {
public:
    Memory(const memory::desc& desc, const void* data) {
        ok_ = dnnl_memory_create(&handle_, c_desc(desc), engine().get(), const_cast<void*>(data)) ==
              dnnl_success;
    }
    ~Memory() {
        if (ok_) dnnl_memory_destroy(handle_);
    }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    bool ok() const { return ok_; }
    dnnl_memory_t get() const { return handle_; }

private:
    dnnl_memory_t handle_ = nullptr;
    bool ok_ = false;
};

// Working memory of one thread's products; it grows on first use.
std::byte* scratch(std::size_t bytes) {
    thread_local std::vector<std::byte> memory;
    if (memory.size() < bytes) memory.resize(bytes);
    return memory.data();
}

bool execute(const dnnl::primitive& primitive, const dnnl_exec_arg_t* args, int n_args) {
    static const dnnl::stream stream(engine());
    return dnnl_primitive_execute(primitive.get(), stream.get(), n_args, args) == dnnl_success;
}

enum class Kind : std::uint8_t { forward, sums, input, weight };

// C (m, n) = A (m, k) B (k, n), compiled.
struct Product {
    Kind kind;
    Index m, n, k;
    memory::desc a, b, c, scratch;
    dnnl::matmul primitive;

    // A may be unaligned. Runs on the calling thread alone inside for_slices.
    bool run(const void* pa, const void* pb, void* pc) const {
        const Memory A(a, pa), B(b, pb), C(c, pc);
        const Memory S(scratch, plumb::scratch(scratch.get_size()));
        const std::array<dnnl_exec_arg_t, 4> args{{{DNNL_ARG_SRC, A.get()},
                                                   {DNNL_ARG_WEIGHTS, B.get()},
                                                   {DNNL_ARG_DST, C.get()},
                                                   {DNNL_ARG_SCRATCHPAD, S.get()}}};
        return A.ok() && B.ok() && C.ok() && S.ok() && execute(primitive, args.data(), 4);
    }
};

template <class T>
constexpr Type type_of = std::is_same_v<T, Bf16> ? Type::bf16 : Type::f32;

memory::desc dense(Index rows, Index cols, Type type) {
    return {{rows, cols}, type, memory::dims{cols, 1}};
}

// Packed weights are panels of 64 columns, one after the other: (n/64, k/16, 16, 64), in bf16 those
// of ops/linear_panels.h.
template <class T>
memory::desc panels(Index k, Index n) {
    using Tag = memory::format_tag;
    return {{k, n}, type_of<T>, std::is_same_v<T, Bf16> ? Tag::BA16a64b2a : Tag::BA16a64b};
}

template <class T>
class OneDnnProducts final : public LinearProducts<T> {
public:
    // Throws dnnl::error where the CPU has no such products.
    explicit OneDnnProducts(const LinearShape& shape)
        : shape_(shape),
          w_transposed_({shape.in, shape.out}, Type::f32, memory::dims{1, shape.in}),
          forward_{panels<T>(shape.in, shape.out)},
          input_{panels<T>(shape.out, shape.in)} {
        compile_rows(Kind::forward, shape.tokens);
        compile_rows(Kind::sums, shape.tokens);
        if (!kBackward) return;
        compile_rows(Kind::input, shape.tokens);
        compile_weight(shape.tokens);
    }

    void declare(Plan& plan, const std::string& name) override {
        const auto add = [&](Packed& w, const char* what) {
            w.numbers =
                plan.saved<std::byte>(name + what, {{'W', static_cast<Index>(w.desc.get_size())}});
        };
        add(forward_, ".packed");
        if (kBackward) add(input_, ".packed_transposed");
    }

    void pack(const Context& ctx, const float* w) override {
        std::byte* forward = ctx(forward_.numbers).data;
        if constexpr (kBackward) {
            std::byte* input = ctx(input_.numbers).data;
            pack_panels(ctx, w, shape_.out, shape_.in, reinterpret_cast<Bf16*>(forward),
                        reinterpret_cast<Bf16*>(input));
        } else {
            if (ctx.threads != packing_threads_) {
                packing_ = packing(w_transposed_, forward_.desc, ctx.threads);
                packing_threads_ = ctx.threads;
            }
            const LibraryThreads threads(ctx.threads);  // every number is moved on its own
            const Memory A(w_transposed_, w), B(forward_.desc, forward);
            const std::array<dnnl_exec_arg_t, 2> args{
                {{DNNL_ARG_FROM, A.get()}, {DNNL_ARG_TO, B.get()}}};
            require(A.ok() && B.ok() && execute(packing_, args.data(), 2),
                    "oneDNN did not pack a weight");
        }
    }

    void forward(const Context& ctx, Index n, const T* x, T* y) override {
        compile_rows(Kind::forward, n);
        by_rows(ctx, Kind::forward, n, x, y);
    }
    void forward_sums(const Context& ctx, Index n, const T* x, float* y) override {
        compile_rows(Kind::sums, n);
        by_rows(ctx, Kind::sums, n, x, y);
    }

    void backward_input(const Context& ctx, Index n, const T* dy, T* dx) override {
        require(kBackward, "float has a packed forward alone");
        compile_rows(Kind::input, n);
        by_rows(ctx, Kind::input, n, dy, dx);
    }

    void backward_weight(const Context& ctx, Index n, const T* dy, const T* x, float* dw) override {
        compile_weight(n);
        const bool rows = shape_.out >= shape_.in;
        const Index dim = std::max(shape_.out, shape_.in);
        const bool ok = for_slices(ctx, dim, slice_size(dim, 16), [&](Index begin, Index end) {
            const Index i = rows ? begin : 0, j = rows ? 0 : begin;
            const Product& p = find(Kind::weight, rows ? end - begin : shape_.out,
                                    rows ? shape_.in : end - begin, n);
            return p.run(dy + i, x + j, dw + i * shape_.in + j);
        });
        require(ok, "oneDNN refused a product");
    }

private:
    static constexpr bool kBackward = std::is_same_v<T, Bf16>;

    struct Packed {
        memory::desc desc;
        Tensor<std::byte> numbers{};
    };

    // ---- compiling: once per shape, outside parallel regions ----

    const Product* lookup(Kind kind, Index m, Index n, Index k) const {
        for (const Product& p : products_)
            if (p.kind == kind && p.m == m && p.n == n && p.k == k) return &p;
        return nullptr;
    }
    const Product& find(Kind kind, Index m, Index n, Index k) const {
        return *lookup(kind, m, n, k);
    }

    void compile(Kind kind, Index m, Index n, Index k) {
        if (m == 0 || n == 0 || lookup(kind, m, n, k)) return;
        const LibraryThreads alone(1);  // oneDNN chooses its blocks by the number of threads
        dnnl::primitive_attr attr;
        attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
        memory::desc a = dense(m, k, type_of<T>), b = panels<T>(k, n), c = dense(m, n, type_of<T>);
        if (kind == Kind::sums) c = dense(m, n, Type::f32);
        if (kind == Kind::weight) {
            a = {{m, k}, type_of<T>, memory::dims{1, shape_.out}};
            b = {{k, n}, type_of<T>, memory::dims{shape_.in, 1}};
            c = {{m, n}, Type::f32, memory::dims{shape_.in, 1}};
            dnnl::post_ops add;
            add.append_sum(1.0f);
            attr.set_post_ops(add);
        }
        const auto desc = describe(a, b, c, attr);
        if (std::strncmp(desc.impl_info_str(), "ref", 3) == 0)  // slower than float
            throw dnnl::error(dnnl_unimplemented, "no optimised product");
        products_.push_back({kind, m, n, k, a, b, c, desc.scratchpad_desc(), dnnl::matmul(desc)});
    }

    void compile_rows(Kind kind, Index n) {
        const Index k = kind == Kind::input ? shape_.out : shape_.in;
        const Index cols = kind == Kind::input ? shape_.in : shape_.out, size = slice_size(n, 16);
        compile(kind, std::min(size, n), cols, k);
        compile(kind, n % size, cols, k);
    }

    void compile_weight(Index n) {
        const bool rows = shape_.out >= shape_.in;
        const Index dim = std::max(shape_.out, shape_.in), size = slice_size(dim, 16);
        for (const Index part : {std::min(size, dim), dim % size})
            compile(Kind::weight, rows ? part : shape_.out * (part > 0), rows ? shape_.in : part,
                    n);
    }

    // ---- running ----

    template <class A, class C>
    void by_rows(const Context& ctx, Kind kind, Index n, const A* a, C* c) {
        const std::byte* w = ctx((kind == Kind::input ? input_ : forward_).numbers).data;
        const Index k = kind == Kind::input ? shape_.out : shape_.in;
        const Index cols = kind == Kind::input ? shape_.in : shape_.out;
        const bool ok = for_slices(ctx, n, slice_size(n, 16), [&](Index begin, Index end) {
            return find(kind, end - begin, cols, k).run(a + begin * k, w, c + begin * cols);
        });
        require(ok, "oneDNN refused a product");
    }

    // A reorder runs on as many threads as were allowed when it was made, whatever is allowed when
    // it runs.
    static dnnl::reorder packing(const memory::desc& from, const memory::desc& to, int n_threads) {
        const LibraryThreads threads(n_threads);
        return dnnl::reorder(dnnl::reorder::primitive_desc(engine(), from, engine(), to));
    }

    LinearShape shape_;
    memory::desc w_transposed_;  // of the float weight, (In, Out)
    Packed forward_, input_;     // W (Out, In) is B transposed of the forward product, B of dx's
    dnnl::reorder packing_;      // of float's forward_, for packing_threads_; those of Bf16 are
    int packing_threads_ = 0;    // pack_panels()
    std::vector<Product> products_;
};

}  // namespace

template <class T>
std::unique_ptr<LinearProducts<T>> onednn_products(const LinearShape& shape) {
    try {
        return std::make_unique<OneDnnProducts<T>>(shape);
    } catch (const dnnl::error&) {
        return nullptr;
    }
}

#else

namespace plumb {

template <class T>
std::unique_ptr<LinearProducts<T>> onednn_products(const LinearShape&) {
    return nullptr;
}

#endif

template std::unique_ptr<LinearProducts<float>> onednn_products<float>(const LinearShape&);
template std::unique_ptr<LinearProducts<Bf16>> onednn_products<Bf16>(const LinearShape&);

}  // namespace plumb
