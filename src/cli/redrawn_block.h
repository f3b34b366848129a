// Several lines on a terminal that are drawn again in place.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

namespace plumb {

class RedrawnBlock {
public:
    explicit RedrawnBlock(std::FILE* out) : out_(out) {}
    RedrawnBlock(const RedrawnBlock&) = delete;
    RedrawnBlock& operator=(const RedrawnBlock&) = delete;

    bool empty() const { return lines_.empty(); }
    // No line may be wider than the terminal; those below its height are left out.
    void show(std::vector<std::string> lines);
    // A line that stays, above the block.
    void above(const std::string& line);
    // Leaves the last state on the screen.
    void finish() { lines_.clear(); }

private:
    std::string home() const;  // to the block's first line
    void put(const std::string& text);

    std::FILE* out_;
    std::vector<std::string> lines_;
};

}  // namespace plumb
