# erne_embed_page(<target> <folder>): the files of the web page become part of the target, as text in
# page_files.cpp (src/server/page_files.h declares what is in it). Nothing but CMake is needed, and the
# generated file is as readable as they are.
set(ERNE_EMBED_PAGE ${CMAKE_CURRENT_LIST_DIR}/EmbedPage.cmake)

function(erne_embed_page target folder)
  file(GLOB files CONFIGURE_DEPENDS ${folder}/*.html ${folder}/*.css ${folder}/*.js ${folder}/*.svg)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/page_files.cpp)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} "-DFILES=${files}" -P ${ERNE_EMBED_PAGE}
    DEPENDS ${files} ${ERNE_EMBED_PAGE}
    COMMENT "Embedding the web page"
    VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()
