#include "mixers/memories/stream_dots.h"

#include "core/check.h"

#include <algorithm>

namespace plumb {

MixerOption streams_option() {
    return {"streams", 4L, "number K of parallel residual streams", within(1, kMaxStreams)};
}

StreamDots::StreamDots(const Dots& dots, int streams) : StreamDots() {
    using Is = Operand::Is;
    for (const Dot& dot : dots) {
        const auto s = static_cast<std::size_t>(dot.a.index);
        const auto put = [&](Places& places) { dot.n > 1 ? places.fill(n) : void(places[s] = n); };
        require(dot.group < 0 && dot.a.gain < 0 && dot.b.gain < 0, "plain dots of streams");
        if (dot.a.is == Is::ones) {
            totals.push_back({n++, dot.b.index});
            continue;
        }
        end_to_end = dot.n > 1 || end_to_end;
        require(dot.n == (end_to_end ? streams : 1) && dot.a.is == Is::row,
                "dots of streams one by one, or of all end to end");
        if (dot.b.is == Is::row) {
            put(square);
        } else if (dot.b.is == Is::ones) {
            put(sum);
        } else {
            const int i = dot.b.index / (end_to_end ? streams : 1);
            if (i == 0) put(projection);
            require(projection[s] + i == n && dot.b.is == Is::vector, "dots of streams in order");
            m = std::max(m, i + 1);
        }
        ++n;
    }
    require(!end_to_end || sum[0] < 0, "no sum of streams end to end");
    require(m <= kMostVectors && totals.size() <= kMostVectors, "vectors of a site of streams");
}

template <class Real>
StreamSite<Real>::StreamSite(const Rule& rule, int l)
    : dots(rule.read_dots(l), rule.rows(1)),
      params(rule, l),
      n_numbers(static_cast<int>(params.count(RuleParam::Is::numbers))) {
    const int streams = rule.rows(1);
    const bool writes = l <= rule.sublayers();
    require(streams <= kMaxStreams && rule.groups() == 1, "rules that streams carry");
    require(rule.rows(l) == streams && rule.ways(l) == 1, "K rows, one read");
    require(!writes || rule.write_dots(l).empty(), "no dots at a write");
    require(params.count(RuleParam::Is::vectors) ==
                (dots.end_to_end ? streams : 1) * rule.shape().channels * dots.m,
            "streams are projected on all vectors of a site");
    program = ScalarProgram(dots.n, n_numbers, [&](const Traced* u, const Traced* p) {
        std::vector<Traced> out(static_cast<std::size_t>(stream_scalars(rule, l)));
        rule.read(l, u, p, out.data());
        if (writes) rule.write(l, u, static_cast<const Traced*>(nullptr), p, out.data() + streams);
        return out;
    });
}

template struct StreamSite<float>;
template struct StreamSite<double>;

}  // namespace plumb
