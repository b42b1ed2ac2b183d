// SPDX-License-Identifier: MIT
// What the copy engine is asked for: how copy_bulk and store_bulk become boxes of tensor maps, and
// the tensor maps of a kernel. A function of the IR alone: codegen emits exactly this, the runtime
// encodes exactly this at launch, and the passes ask the same code what is possible.
//
// A tensor map describes a whole tensor (sizes, strides, address: known at launch) and the box that
// one instruction moves. Its dimension 0 is the fastest: the one of stride 1 in global memory, the
// last one of the shared buffer. The shared side holds boxes without gaps, row behind row:
//
//   rows of 128, 64 or 32 bytes, swizzle=[4, 3, 0], [4, 2, 1], [4, 1, 2]     as wgmma reads them
//   `panel` elements of 128 bytes: panel behind panel, each with rows like these
//   rows of any other width, no swizzle, no padding
//
// What the engine cannot do: more than 5 dimensions, no dimension of stride 1, other strides that
// are not known to be multiples of 16 bytes, a base that may not be aligned to 16, gathers, rows
// that are no multiple of 16 bytes. Boxes of more than 256 elements in a dimension are split.
#pragma once
#include "ir/access.h"

enum {
    KG_MAP_BYTES = 128, // of a tensor map: an opaque kernel parameter, aligned to 64
    KG_MAP_ALIGN = 64,
    KG_BOX_LIMIT = 256,  // elements of a box along one dimension
    KG_BULK_COPIES = 64, // instructions of one op
    KG_BULK_ALIGN = 128, // bytes: of a box in shared memory
    KG_BULK_WHY = 224,   // characters of a reason
};

typedef struct kg_tensor_map {
    kg_value *tensor; // parameter
    int rank;
    int32_t dim[KG_MAX_RANK]; // dimension of the tensor, by dimension of the map: fastest first
    int32_t box[KG_MAX_RANK]; // elements, by dimension of the map
    int32_t swizzle;          // bytes of the rows whose chunks change places: 0, 32, 64, 128
} kg_tensor_map;

// One copy_bulk or store_bulk: boxes side by side. Arrays by dimension of the map.
typedef struct kg_bulk_copy {
    kg_tensor_map map;
    kg_view_info global;
    int32_t copies[KG_MAX_RANK];  // boxes along the dimension
    kg_value *start[KG_MAX_RANK]; // of the first box in the tensor: scalar or NULL = 0
    int64_t bytes[KG_MAX_RANK];   // from box to box in shared memory
    int64_t first_byte;           // of the first box in the slot
    // With multicast each CTA of a cluster brings, of every box of the tile, its share to all: the
    // map's box is a share, the next one lies share_bytes further on.
    int32_t shares, share_dim; // 1: no multicast; along which dimension of the map
    int64_t share_bytes;
    int32_t slot_align; // what the slot must be aligned to, in bytes
} kg_bulk_copy;

// How the two views of a copy are moved. false: the engine cannot, and `why` says what is in the
// way, in a few words without the name of the op. Looks at the layout of the shared buffer, so it
// is for level laid_out and later.
bool kg_bulk_copy_plan(const kg_kernel *kernel, kg_value *global, kg_value *shared,
                       kg_bulk_copy *out, char why[KG_BULK_WHY]);
// What reduce_bulk combines by.
typedef enum kg_bulk_reduction {
    KG_BULK_ADD,
    KG_BULK_MIN,
    KG_BULK_MAX,
    KG_BULK_AND,
    KG_BULK_OR,
    KG_BULK_XOR,
    KG_BULK_REDUCTIONS,
    KG_BULK_NONE = KG_BULK_REDUCTIONS, // no word of these
} kg_bulk_reduction;
kg_bulk_reduction kg_bulk_reduction_of(const kg_op *op);
// The types that the copy engine can do this with, in words; NULL: the op's is one.
const char *kg_bulk_reduction_misfit(const kg_op *op);

// The same for an op: copy_bulk has its shared view first, store_bulk its global one.
bool kg_bulk_copy_plan_of(const kg_op *op, kg_bulk_copy *out, char why[KG_BULK_WHY]);
// Instructions that the copy takes.
int kg_bulk_copy_count(const kg_bulk_copy *copy);

// What keeps the engine from moving a view of a tensor to or from a shared view, whatever layout
// the buffer gets: NULL when nothing does. `shared` may be NULL: a buffer made for this very tile.
const char *kg_bulk_copy_problem(kg_arena *arena, const kg_kernel *kernel, kg_value *global,
                                 kg_value *shared);

// The layout that a buffer of this type gets when the engine fills it or empties it, and what its
// slots are aligned to.
kg_shared_layout kg_bulk_layout(const kg_type *type, int *align);

// The tensor maps of a kernel, one for each distinct (tensor, box, swizzle), in the order in which
// ops need them: this is the order of the parameters behind all others. Ops that the engine cannot
// do have none.
typedef struct kg_tensor_maps {
    kg_tensor_map *items;
    int count, capacity;
} kg_tensor_maps;
void kg_tensor_maps_collect(kg_arena *arena, kg_kernel *kernel, kg_tensor_maps *out);
// The number of a map among them, -1: not there.
int kg_tensor_maps_find(const kg_tensor_maps *maps, const kg_tensor_map *map);
