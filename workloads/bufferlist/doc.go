// Package bufferlist reads buffers in the words of those who design a board, as in
//
//	4x 1920x1080 NV12, 3x 3840x2160 P010, 16x 64KiB
//
// and makes work of them: all are allocated, and then, again and again, some of the
// groups are freed and allocated in another order, as when streams end and others
// begin. A group is an element of the list.
//
// # Formats
//
// The bytes of a picture are those of its planes, each row as long as its stride.
// NV12 has a plane of luma and one of half the height with both chroma; P010 the
// same with two bytes per sample; NV16 chroma of full height; YUYV and RGB565 two
// bytes per pixel, RGB888 three, XRGB8888 and ARGB8888 four; RAW10 has four pixels
// in five bytes, as MIPI CSI-2 packs them (V4L2_PIX_FMT_SRGGB10P), RAW12 two in three
// bytes (V4L2_PIX_FMT_SRGGB12P), RAW8 one byte, RAW16 two.
//
// A format alone is tight: no stride is rounded. NV12/64x16 rounds strides up to 64
// bytes and rows of luma up to 16, as decoders by macroblocks do; XRGB8888/256
// strides to 256 bytes, as amdgpu does. NV12/venus and P010/venus are the linear
// layouts of Qualcomm's decoder: strides in 128 bytes (256 of P010), rows of luma
// in 32 and of chroma in 16, the whole in 4 KiB (Linux, drivers/media/platform/
// qcom/venus/helpers.c, get_framesize_raw_nv12 and get_framesize_raw_p010).
//
// # Limits
//
// Compressed and tiled layouts (UBWC, AFBC) and the memory that decoders add to a
// picture, such as motion vectors, are not computed: write their size in bytes.
package bufferlist
