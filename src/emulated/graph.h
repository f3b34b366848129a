// Work that a capture wrote down instead of doing it: nodes, and which come after which.
#pragma once

#include "emulated/types.h"

#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace emulated {

inline constexpr std::size_t kNoNode = ~std::size_t{0};

struct Node {
    std::function<void()> run;
    std::vector<std::size_t> after;
};

struct Capture {
    cudaStream_t origin;  // where it began
    std::vector<Node> nodes{};
    std::map<cudaStream_t, std::size_t> last{};  // node of each stream in the capture
    bool broken = false;

    std::size_t last_of(cudaStream_t s) const {
        const auto it = last.find(s);
        return it == last.end() ? kNoNode : it->second;
    }
    // After the last node of the stream, and `other`.
    void add(cudaStream_t s, std::function<void()> run, std::size_t other = kNoNode) {
        std::vector<std::size_t> after;
        for (const std::size_t node : {last_of(s), other})
            if (node != kNoNode) after.push_back(node);
        nodes.push_back({std::move(run), std::move(after)});
        last[s] = nodes.size() - 1;
    }
    // Whether every node comes before the last one of `origin`, or is it.
    bool joined() const;
};

struct Replayed {
    std::vector<Node> nodes;
    std::vector<char> tags = std::vector<char>(nodes.size());  // what comes after each (races.h)
    char begun = 0;
};

}  // namespace emulated

struct CUgraph_st {
    std::vector<emulated::Node> nodes;
};
// What is launched keeps its nodes, whatever the graph is updated to before it runs.
struct CUgraphExec_st {
    std::shared_ptr<emulated::Replayed> replayed;
};
