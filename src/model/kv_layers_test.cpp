#include "model/kv_layers.h"

#include <gtest/gtest.h>

#include <cstring>

#include "backend/null_backend.h"

namespace erne::model {
namespace {

constexpr kv::KvGeometry kGeometry = {.device_blocks = 3, .host_blocks = 2, .block_tokens = 4};

class KvLayersTest : public testing::Test {
 protected:
  KvLayersTest() : kv_(backend_, config(), DType::kBf16, kGeometry) {}

  static ErnieConfig config() {
    ErnieConfig config;
    config.num_layers = 2;
    config.num_kv_heads = 1;
    config.head_dim = 16;
    return config;
  }
  // One layer's part of a block.
  DeviceSpan part(int layer, int block) const {
    const KvLayerView& view = kv_.views()[layer];
    return {view.data + block * view.block_stride_bytes,
            static_cast<size_t>(kv_layer_block_bytes(view))};
  }
  void fill(int layer, int block, char value) {
    const std::string bytes(part(layer, block).bytes, value);
    backend_.upload(std::as_bytes(std::span(bytes)), part(layer, block));
  }
  std::string content(int layer, int block) {
    std::string bytes(part(layer, block).bytes, '?');
    backend_.download(part(layer, block), std::as_writable_bytes(std::span(bytes)));
    return bytes;
  }

  NullBackend backend_;
  KvLayers kv_;
};

TEST_F(KvLayersTest, ABlockIsAllItsLayers) {
  const size_t layer_bytes = 2 * 4 * 16 * 2;  // K and V, tokens, components, bfloat16
  EXPECT_EQ(kv_.geometry().block_bytes, 2 * layer_bytes);
  EXPECT_EQ(part(1, 2).bytes, layer_bytes);
  EXPECT_EQ(kv_.views()[0].num_blocks, 3);
}

TEST_F(KvLayersTest, BlocksGoToTheHostAndBackInOrder) {
  for (int block = 0; block < 3; ++block)
    for (int layer = 0; layer < 2; ++layer) fill(layer, block, "abcdef"[2 * block + layer]);
  const kv::BlockCopy copies[] = {{0, 3}, {1, 4}, {4, 0}, {2, 4}, {3, 2}, {4, 1}};
  kv_.copy_blocks(copies);
  for (int layer = 0; layer < 2; ++layer)
    for (int block = 0; block < 3; ++block) {
      const char expected = "cdefab"[2 * block + layer];
      EXPECT_EQ(content(layer, block), std::string(part(layer, block).bytes, expected));
    }
}

TEST_F(KvLayersTest, NothingIsCopiedWithinATierOrBeyond) {
  for (const kv::BlockCopy copy : {kv::BlockCopy{0, 1}, {3, 4}, {0, 5}, {5, 0}, {-1, 3}, {3, -1}})
    EXPECT_DEATH(kv_.copy_blocks({&copy, 1}), "_blocks") << copy.from;
}

}  // namespace
}  // namespace erne::model
