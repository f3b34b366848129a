// A row stands at the end of the file of its name: attention_sublayer.cpp, mlp_sublayer.cpp.
#include "model/sublayers.h"

#include "core/row_table.h"

namespace plumb {

const std::vector<SublayerInfo>& sublayers() {
    static const std::vector<SublayerInfo> table{attention_sublayer(), mlp_sublayer()};
    return table;
}

const SublayerInfo& find_sublayer(const std::string& kind) {
    return find_row(sublayers(), kind, "sublayer");
}

template <class T>
SublayerPtr<T> make_sublayer(const std::string& kind, const std::string& prefix,
                             const SublayerShape& shape, const Workspace<T>& work, Plan& plan,
                             ParamStore<RealOf<T>>& params) {
    const SublayerMakers& make = find_sublayer(kind).make;
    if constexpr (std::is_same_v<T, float>)
        return make.in_float(prefix, shape, work, plan, params);
    else if constexpr (std::is_same_v<T, double>)
        return make.in_double(prefix, shape, work, plan, params);
    else
        return make.in_bf16(prefix, shape, work, plan, params);
}

template <class T>
SublayerDecoderPtr<T> make_sublayer_decoder(const std::string& kind, const std::string& prefix,
                                            const SublayerShape& shape,
                                            const DecodeScratch<T>& work, Plan& plan,
                                            ParamStore<T>& params) {
    const SublayerMakers& make = find_sublayer(kind).make;
    if constexpr (std::is_same_v<T, float>)
        return make.decoder_in_float(prefix, shape, work, plan, params);
    else
        return make.decoder_in_double(prefix, shape, work, plan, params);
}

#define PLUMB_INSTANTIATE(T)                                                                \
    template SublayerPtr<T> make_sublayer(const std::string&, const std::string&,           \
                                          const SublayerShape&, const Workspace<T>&, Plan&, \
                                          ParamStore<RealOf<T>>&);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE
template SublayerDecoderPtr<float> make_sublayer_decoder(const std::string&, const std::string&,
                                                         const SublayerShape&,
                                                         const DecodeScratch<float>&, Plan&,
                                                         ParamStore<float>&);
template SublayerDecoderPtr<double> make_sublayer_decoder(const std::string&, const std::string&,
                                                          const SublayerShape&,
                                                          const DecodeScratch<double>&, Plan&,
                                                          ParamStore<double>&);

}  // namespace plumb
