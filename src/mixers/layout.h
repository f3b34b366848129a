// Layout: which sublayer is where along depth. It is resolved once, from the kinds that make a
// transformer block, and is all that anybody knows of it: names of parameters, records and errors,
// where a block begins and ends, what kind of sublayer reads at a site.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace plumb {

class Layout {
public:
    // `blocks` transformer blocks of these kinds, in order.
    Layout(const std::vector<std::string>& kinds, int blocks);
    // Attention and MLP in turn, this many; the last block may be an attention alone. What mixers
    // are tested on.
    Layout(int sublayers);

    int sublayers() const { return static_cast<int>(places_->size()) - 2; }  // L
    int blocks() const { return place(sublayers() + 1).block; }

    // Below, l = 1..L is a sublayer, 0 the embedding, L+1 the output: what the final norm reads.

    const std::string& kind(int l) const { return place(l).kind; }  // "attn", "mlp", "output"
    // "layer.1.attn" for l = 3 ("layer.1.attn2": the second of its block), "embed", "output".
    const std::string& name(int l) const { return place(l).name; }
    // The number of its block, 0, 1, ..: how many are written in full where l reads. l >= 1; of the
    // output, all.
    int block(int l) const { return place(l).block; }
    bool begins_block(int l) const { return l >= 1 && l <= sublayers() && place(l).begins; }
    bool ends_block(int l) const { return l >= 1 && l <= sublayers() && place(l + 1).begins; }
    // The last sublayer of the first `blocks` blocks: 0 for none.
    int end_of(int blocks) const { return std::min(blocks * n_kinds_, sublayers()); }
    static std::string block_name(int block);  // "layer.1"

private:
    struct Place {
        std::string kind, name;
        int block;
        bool begins;  // a block, or what follows the last
    };
    // Throws std::out_of_range.
    const Place& place(int l) const { return places_->at(static_cast<std::size_t>(l)); }
    static std::vector<Place> places(const std::vector<std::string>& kinds, int sublayers);

    int n_kinds_;
    std::shared_ptr<const std::vector<Place>> places_;  // l = 0..L+1
};

// What a way in which an attention reads is for (depth_mixer.h): "q", "k", "v" for 0, 1, 2.
const char* way_name(int way);

}  // namespace plumb
