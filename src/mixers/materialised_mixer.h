// Base of mixers that form h_l and D_l as tensors: read and norm are two passes. Being replaced.
#pragma once

#include "core/parallel.h"
#include "mixers/mixers.h"

namespace plumb {

template <class T>
class MaterialisedMixer : public DepthMixer<T> {
public:
    using DepthMixer<T>::DepthMixer;

    virtual View<const T> stream(int l) const = 0;
    Index stream_width() const final {
        return stream(0).count() / this->shape().tokens;
    }
    void stream(int l, Index n, T* out) const final {
        const Index width = stream_width();
        std::copy_n(stream(l).data + n * width, width, out);
    }

protected:
    virtual View<const T> do_read(const Context& ctx, int l) = 0;
    virtual View<T> do_dslot(int l) = 0;
    virtual void do_read_backward(const Context& ctx, int l) = 0;

    void do_read(const Context& ctx, int l, const PreNorm<T>& norm) final {
        const View<const T> h = do_read(ctx, l);
        for_tokens(ctx, this->shape().tokens, [&](Index n) { norm.put(n, h.row(n)); });
    }
    void do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) final {
        const View<T> d = do_dslot(l);
        for_tokens(ctx, this->shape().tokens, [&](Index n) { norm.gradient(n, d.row(n)); });
        do_read_backward(ctx, l);
    }
};

}  // namespace plumb
