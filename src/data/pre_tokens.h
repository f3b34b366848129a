// Where a byte-level BPE may not merge across: GPT-2's cut of a text into words.
#pragma once

#include <cstddef>
#include <string_view>

namespace plumb {

// The end of the piece of `text` that begins at byte `begin` < text.size(), as the expression of
// GPT-2 cuts it (Radford et al. 2019, in their code):
//
//     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// A byte that is not part of valid UTF-8 is a character of its own and neither letter, number nor
// space (ours; GPT-2 has no such bytes).
std::size_t pre_token_end(std::string_view text, std::size_t begin);

}  // namespace plumb
